//! The caller's deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::refused::{Refused, Stop};

/// The instant at which the caller stops waiting; `None` for a caller that waits forever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// For work that no caller waits for.
    pub const NONE: Self = Self(None);

    /// A deadline after `timeout` from now. If that instant overflows, the deadline never passes.
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

    /// Runs `work` until the deadline; fails with [`Stop::Deadline`] if that passes first.
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
