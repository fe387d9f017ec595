//! The caller's deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::refused::{Refused, Stop};

/// When the caller stops waiting; `None` where it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// For work that no caller waits for.
    pub const NONE: Self = Self(None);

    /// The deadline that passes after this time. A time so long that no instant can hold it never passes.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// Resolves when the deadline passes.
    pub async fn passed(self) {
        match self.0 {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }

    /// The result of `work`, or the refusal of a call whose deadline passed first.
    pub async fn limit<V, E: From<Refused>>(
        self,
        work: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        match self.0 {
            None => work.await,
            Some(instant) => tokio::time::timeout_at(instant, work)
                .await
                .unwrap_or_else(|_| Err(Refused::Stopped(Stop::Deadline).into())),
        }
    }
}
