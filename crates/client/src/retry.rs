//! What is sent again, how often, and how soon.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

/// The `ErrorInfo.domain` of every refusal by a backpropd.
const DOMAIN: &str = "backpropd";

/// The reasons of refusals by a node whose sessions go to another one.
const MOVING: [&str; 3] = ["MOVED", "SHUTDOWN", "STORE_UNREACHABLE"];

/// How long a call whose session moves is sent again; the number of its tries is not limited.
const MOVING_TIME: Duration = Duration::from_secs(10);

/// Limit on a wait in this time, beside the delay that the server names: a session moves within three seconds.
const MOVING_DELAY: Duration = Duration::from_millis(500);

/// How often and how soon a call is sent again. The wait doubles from try to try; half of it is random, so that the
/// clients of a restarted server do not all return at once. If the server names a delay (`RetryInfo`), the wait starts
/// after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Limit on tries of a call, the first included; 0 and 1 mean that nothing is sent again. A run of training that
    /// has committed further steps starts to count anew, and so does a watch that has reported an event of a run, or
    /// has lasted for longer than `longest_delay`. Tries within ten seconds are not limited while a session moves to
    /// another node, unless nothing is sent again.
    pub attempts: u32,
    /// The longest wait before the second try.
    pub first_delay: Duration,
    /// Limit on a wait. A call is not sent again if the server names a longer delay.
    pub longest_delay: Duration,
}

impl Default for Retry {
    /// 8 tries within about 13 s: enough for a server that restarts.
    fn default() -> Self {
        Self {
            attempts: 8,
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(10),
        }
    }
}

impl Retry {
    /// Nothing is sent again.
    pub const NEVER: Self = Self {
        attempts: 1,
        first_delay: Duration::ZERO,
        longest_delay: Duration::ZERO,
    };

    /// Sends a request, again after a failure if `may_repeat`.
    pub(crate) async fn send<R: Clone, T, F>(
        self,
        may_repeat: bool,
        request: R,
        mut call: impl FnMut(R) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        if !may_repeat {
            return call(request).await;
        }
        let mut attempts = Attempts::new(self);
        loop {
            match call(request.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(status) => attempts.wait_after(status).await?,
            }
        }
    }

    /// The longest wait after this many failed tries.
    fn delay(&self, failed: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failed.saturating_sub(1));
        let delay = doubled.and_then(|factor| self.first_delay.checked_mul(factor));
        delay.map_or(self.longest_delay, |delay| delay.min(self.longest_delay))
    }
}

/// The tries of one call.
#[derive(Debug)]
pub(crate) struct Attempts {
    retry: Retry,
    failed: u32,
    /// The first failure in a row.
    since: Option<Instant>,
}

impl Attempts {
    pub(crate) fn new(retry: Retry) -> Self {
        Self {
            retry,
            failed: 0,
            since: None,
        }
    }

    /// Counts from the first try again.
    pub(crate) fn restart(&mut self) {
        self.failed = 0;
        self.since = None;
    }

    /// Waits until the time for the next try.
    ///
    /// # Errors
    /// `status`, if another try cannot help or none is left.
    pub(crate) async fn wait_after(&mut self, status: Status) -> Result<(), Status> {
        self.failed += 1;
        let asked = asked_delay(&status).unwrap_or_default();
        let since = *self.since.get_or_insert_with(Instant::now);
        let is_moving = is_moving(&status) && self.retry.attempts > 1;
        let is_last = if is_moving {
            since.elapsed() >= MOVING_TIME
        } else {
            self.failed >= self.retry.attempts
        };
        if is_last || asked > self.retry.longest_delay || !is_retryable(&status) {
            return Err(status);
        }
        let mut delay = self.retry.delay(self.failed);
        if is_moving {
            delay = delay.min(MOVING_DELAY);
        }
        tokio::time::sleep(asked + delay.mul_f64(0.5 + 0.5 * random_fraction())).await;
        Ok(())
    }
}

/// Whether a call that failed like this can succeed if it is sent again unchanged: the connection broke, or the server
/// refused with a reason that passes. It says nothing about the effect of two calls, which is the same as that of one
/// for reads, and for writes with a `request_id`.
#[must_use]
pub fn is_retryable(status: &Status) -> bool {
    let details = status.get_error_details();
    match details.error_info() {
        // The server adds RetryInfo to every refusal that passes, and to no other.
        Some(info) if info.domain == DOMAIN => details.retry_info().is_some(),
        Some(_) | None => is_of_the_transport(status),
    }
}

/// Whether a node refused because its sessions go to another one.
fn is_moving(status: &Status) -> bool {
    let details = status.get_error_details();
    let info = details.error_info();
    info.is_some_and(|info| info.domain == DOMAIN && MOVING.contains(&info.reason.as_str()))
}

/// Whether an error that no backpropd has sent tells of a broken connection or of a server that is away.
fn is_of_the_transport(status: &Status) -> bool {
    let code = status.code();
    // tonic's codes for a connection that was reset, and for a stream that ended without a status.
    if matches!(code, Code::Unknown | Code::Unavailable) {
        return true;
    }
    // Only an error of the transport has a cause; one that was received has none.
    let is_local = status.source().is_some();
    is_local && code != Code::DeadlineExceeded && !is_own_timeout(status)
}

/// Whether the client's own timeout ended the call.
fn is_own_timeout(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The delay that the server asks for.
fn asked_delay(status: &Status) -> Option<Duration> {
    let details = status.get_error_details();
    details.retry_info().and_then(|info| info.retry_delay)
}

/// A random number from 0 to 1.
fn random_fraction() -> f64 {
    // Without random numbers, the wait is its mean.
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, RetryInfo};

    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let retry = Retry::default();
        let delays = [1, 2, 3, 7, 8, 40].map(|failed| retry.delay(failed).as_millis());
        assert_eq!(delays, [100, 200, 400, 6_400, 10_000, 10_000]);
    }

    #[test]
    fn a_refusal_is_retryable_if_the_server_says_when() {
        let refusal = |domain: &str, delay: Option<RetryInfo>| {
            let mut details = ErrorDetails::with_error_info("REASON", domain, []);
            if let Some(delay) = delay {
                details.set_retry_info(delay.retry_delay);
            }
            Status::with_error_details(Code::ResourceExhausted, "refused", details)
        };
        let soon = || Some(RetryInfo::new(Some(Duration::from_secs(1))));
        assert!(is_retryable(&refusal(DOMAIN, soon())));
        assert!(!is_retryable(&refusal(DOMAIN, None)));
        assert!(!is_retryable(&refusal("a proxy", None)));
    }

    #[test]
    fn a_received_error_without_a_reason_is_retryable_by_its_code() {
        assert!(is_retryable(&Status::unavailable("a proxy")));
        assert!(is_retryable(&Status::unknown("cut off")));
        for code in [Code::Internal, Code::DeadlineExceeded, Code::Cancelled] {
            assert!(!is_retryable(&Status::new(code, "received")));
        }
    }

    #[test]
    fn a_timeout_of_the_client_is_final() {
        let timeout = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(timeout.code(), Code::Cancelled);
        assert!(!is_retryable(&timeout));
    }
}
