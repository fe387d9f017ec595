//! Faults of the store in words: what was tried, what the store answered, what to do.

use std::error::Error as _;
use std::io;
use std::path::Path;

use object_store::Error;

use crate::objects::{Fault, FaultKind};

/// Whether the bucket itself is missing.
pub(crate) fn is_bucket(error: &Error) -> bool {
    let text = chain(error);
    [
        "NoSuchBucket",
        "ContainerNotFound",
        "The specified bucket does not exist",
    ]
    .iter()
    .any(|name| text.contains(name))
}

/// What went wrong, and the remedy.
pub(crate) fn explain(error: &Error) -> Fault {
    let text = chain(error);
    let has = |names: &[&str]| names.iter().any(|name| text.contains(name));
    let (kind, remedy) = if is_bucket(error) {
        (
            FaultKind::Bucket,
            "the bucket does not exist: create it, or correct the URL",
        )
    } else if has(&[
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "IllegalLocationConstraintException",
        "redirect without LOCATION",
    ]) {
        (
            FaultKind::Region,
            "the bucket is in another region: set AWS_REGION to the one that it is in",
        )
    } else if has(&["RequestTimeTooSkewed", "RequestExpired"]) {
        (
            FaultKind::Credentials,
            "the clock of this machine differs from the store's by minutes: synchronize it",
        )
    } else if has(&[
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
        "NoAuthenticationInformation",
    ]) || matches!(error, Error::Unauthenticated { .. })
    {
        (
            FaultKind::Credentials,
            "the store does not accept the credentials: check those in the environment, and the clock",
        )
    } else if has(&[
        "169.254.169.254",
        "169.254.170.2",
        "metadata.google.internal",
    ]) {
        (
            FaultKind::Credentials,
            "there are no credentials in the environment, and this machine is given none by its cloud",
        )
    } else if matches!(error, Error::PermissionDenied { .. }) {
        (
            FaultKind::Permission,
            "the credentials do not permit this: they need to get, put, delete and list objects below the prefix",
        )
    } else if has(&[
        "SlowDown",
        "TooManyRequests",
        "ServerBusy",
        "status code: 503",
        "status code: 429",
    ]) {
        (
            FaultKind::Busy,
            "the store is too busy for this, or limits the writes to one object",
        )
    } else if has(&["HTTP error", "timed out", "connect"]) {
        (
            FaultKind::Network,
            "the store does not answer: check its address and the network",
        )
    } else {
        (FaultKind::Other, "")
    };
    let text = short(&text);
    let text = match remedy {
        "" => text,
        remedy => format!("{remedy} (the store's client says: {text})"),
    };
    Fault { kind, text }
}

/// A fault of a local file.
pub(crate) fn file_fault(file: &Path, error: &io::Error) -> Fault {
    Fault {
        kind: FaultKind::File,
        text: format!("{}: {error}", file.display()),
    }
}

/// The error and its causes, of which each says the next one again or not.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text += ": ";
            text += &next;
        }
        cause = error.source();
    }
    text
}

/// The beginning of a text, in one line.
fn short(text: &str) -> String {
    const LONGEST: usize = 600;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str) -> Fault {
        explain(&Error::PermissionDenied {
            path: "course/a".to_owned(),
            source: format!("403 Forbidden: <Error><Code>{code}</Code></Error>").into(),
        })
    }

    #[test]
    fn a_clock_that_is_off_is_not_told_as_a_missing_permission() {
        let fault = refusal("RequestTimeTooSkewed");
        assert_eq!(fault.kind, FaultKind::Credentials);
        assert!(
            fault.text.starts_with("the clock of this machine"),
            "{}",
            fault.text
        );
    }

    #[test]
    fn what_the_credentials_do_not_permit_is_told_as_that() {
        let fault = refusal("AccessDenied");
        assert_eq!(fault.kind, FaultKind::Permission);
        assert!(
            fault.text.contains("get, put, delete and list"),
            "{}",
            fault.text
        );
    }
}
