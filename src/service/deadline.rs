//! The caller's deadline, which tonic reads but answers with the wrong code and forgets once a stream has begun.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::status::{Stop, stopped};

/// When the caller stops waiting; `None` where it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// For work that no caller waits for.
    pub const NONE: Self = Self(None);

    /// The deadline that a request's `grpc-timeout` sets from now on; an unreadable one is none.
    pub fn of(metadata: &MetadataMap) -> Self {
        let timeout = metadata
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok())
            .and_then(parse);
        // A timeout so long that no instant can hold it never comes.
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Resolves when the deadline passes.
    pub async fn passed(self) {
        match self.0 {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }

    /// What `work` comes to, or `DEADLINE_EXCEEDED`.
    pub async fn limit<V>(
        self,
        work: impl Future<Output = Result<V, Status>>,
    ) -> Result<V, Status> {
        match self.0 {
            None => work.await,
            Some(instant) => tokio::time::timeout_at(instant, work)
                .await
                .unwrap_or_else(|_| Err(stopped(Stop::Deadline, None))),
        }
    }
}

/// At most eight digits and a unit, as the gRPC specification writes it.
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
