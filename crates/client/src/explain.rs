//! Errors as text.

use std::fmt::Write as _;

use tonic::Status;
use tonic_types::StatusExt as _;

/// A gRPC error as text: its code, its message, and every `google.rpc` detail on a line of its own.
#[must_use]
pub fn explain(status: &Status) -> String {
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

/// An error with its causes, each after a colon. The text of tonic's errors alone is only "transport error".
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Wrappers often repeat the text of their cause.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
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
        assert_eq!(
            explain(&status),
            "InvalidArgument: the spec is not valid\n  reason: INVALID_SPEC (layer = 2)\n  \
             spec.input_size: given 0, allowed is 1 to 65536\n  spec.layers[1].units: given -1, allowed is 1 to 65536"
        );
    }
}
