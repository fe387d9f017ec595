//! The `grpc-timeout` header. tonic reads it too, but answers with the wrong code and ignores it once a stream has
//! begun.

use std::time::Duration;

use http::{HeaderMap, Request};

use crate::host::deadline::Deadline;

/// The deadline of a request: one that was read before, or else that of its headers.
pub fn deadline_of<B>(request: &Request<B>) -> Deadline {
    let known = request.extensions().get::<Deadline>();
    known.map_or_else(|| deadline(request.headers()), |known| *known)
}

/// The deadline that the request's `grpc-timeout` sets; an unreadable header sets none.
pub fn deadline(headers: &HeaderMap) -> Deadline {
    let timeout = headers
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(parse);
    timeout.map_or(Deadline::NONE, Deadline::after)
}

/// Parses at most eight digits and a unit, as the gRPC specification defines the header.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_specification_writes_them() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(parse("500m"), Some(Duration::from_millis(500)));
        for text in ["", "m", "1", "1x", "-1S", "123456789S", "1é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
