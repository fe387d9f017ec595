//! The failure of a command: its message and exit code.

use std::fmt::{self, Write as _};

use tonic::Status;
use tonic_types::StatusExt as _;

use crate::config::ConfigError;

/// The shell convention for a process that SIGINT ended: 128 + 2.
pub const INTERRUPTED: u8 = 130;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code: 1 failed, 2 invalid arguments or data, 130 interrupted.
    pub code: i32,
    message: String,
}

impl Failure {
    /// The exit code for invalid arguments or data.
    pub const USAGE: i32 = 2;

    /// The command failed for another reason than its arguments or data.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            code: 1,
            message: message.into(),
        }
    }

    /// The arguments or the data are invalid.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: Self::USAGE,
            message: message.into(),
        }
    }
}

impl Failure {
    /// The user pressed Ctrl-C.
    #[must_use]
    pub fn interrupted() -> Self {
        Self {
            code: i32::from(INTERRUPTED),
            message: "interrupted".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::failed(describe(&status))
    }
}

/// A gRPC error as text: code, message and every detail.
fn describe(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let details = status.get_error_details();
    let mut line = |label: &str, what: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {label}: {what}");
    };
    if let Some(info) = details.error_info() {
        let mut metadata: Vec<_> = info
            .metadata
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        metadata.sort();
        let metadata = if metadata.is_empty() {
            String::new()
        } else {
            format!(" ({})", metadata.join(", "))
        };
        line("reason", &format!("{}{metadata}", info.reason));
    }
    for violation in details
        .bad_request()
        .iter()
        .flat_map(|bad| &bad.field_violations)
    {
        line(&violation.field, &violation.description);
    }
    for violation in details
        .quota_failure()
        .iter()
        .flat_map(|quota| &quota.violations)
    {
        line(
            &format!("quota {}", violation.subject),
            &violation.description,
        );
    }
    for violation in details
        .precondition_failure()
        .iter()
        .flat_map(|failure| &failure.violations)
    {
        line(
            &format!("precondition {}", violation.subject),
            &violation.description,
        );
    }
    if let Some(resource) = details.resource_info() {
        line(
            &format!("{} {}", resource.resource_type, resource.resource_name),
            &resource.description,
        );
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        line("try again after", &format!("{delay:?}"));
    }
    if let Some(request) = details.request_info() {
        line("request id", &request.request_id);
    }
    for link in details.help().iter().flat_map(|help| &help.links) {
        line(&link.description, &link.url);
    }
    text
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    #[test]
    fn a_status_shows_every_violation() {
        let mut details = ErrorDetails::with_error_info(
            "INVALID_SPEC",
            "backpropd",
            [("layer".to_owned(), "2".to_owned())],
        );
        details.set_bad_request(vec![
            FieldViolation::new("spec.input_size", "given 0, allowed is 1 to 65536"),
            FieldViolation::new("spec.layers[1].units", "given -1, allowed is 1 to 65536"),
        ]);
        let status =
            Status::with_error_details(Code::InvalidArgument, "the spec is not valid", details);
        let failure = Failure::from(status);
        assert_eq!(failure.code, 1);
        assert_eq!(
            failure.to_string(),
            "InvalidArgument: the spec is not valid\n  reason: INVALID_SPEC (layer = 2)\n  \
             spec.input_size: given 0, allowed is 1 to 65536\n  spec.layers[1].units: given -1, allowed is 1 to 65536"
        );
    }
}
