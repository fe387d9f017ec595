//! What a node knows of an object in the shared store.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use backpropd_bucket::Seen;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// The version of a model's object that this node's copy of the model comes from. It is locked while the object is read
/// or written, so that a reader does not take a commit of this node for one of another.
#[derive(Debug, Default)]
pub struct SharedCopy {
    seen: Mutex<Option<Seen>>,
    checked: CheckTime,
}

impl SharedCopy {
    /// The copy of a version that was read or written by a request sent at this time.
    pub fn of(seen: Seen, at: Instant) -> Self {
        Self {
            seen: Mutex::new(Some(seen)),
            checked: CheckTime::at(at),
        }
    }

    /// Waits until no other call reads or writes the object.
    pub async fn lock(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().await
    }

    /// When the copy was last known to be current.
    pub fn checked(&self) -> &CheckTime {
        &self.checked
    }

    /// Takes the version over. That of a copy in use stays unknown, and the next commit reads the model anew.
    pub fn take(&self) -> Self {
        let seen = self.seen.try_lock().ok().and_then(|mut seen| seen.take());
        Self {
            seen: Mutex::new(seen),
            checked: CheckTime::default(),
        }
    }
}

/// This node's copy of a dataset, with its file.
#[derive(Debug)]
pub(super) struct DatasetCopy {
    pub seen: Seen,
    path: PathBuf,
    pub checked: CheckTime,
}

impl DatasetCopy {
    /// The copy of a version that was read or written by a request sent at this time.
    pub fn of(seen: Seen, path: PathBuf, at: Instant) -> Self {
        Self {
            seen,
            path,
            checked: CheckTime::at(at),
        }
    }
}

impl Drop for DatasetCopy {
    fn drop(&mut self) {
        // A call that reads it has it open.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a dataset's local file cannot be removed");
        }
    }
}

/// When something was last known to be current: before the request was sent whose reply said so.
#[derive(Debug, Default)]
pub struct CheckTime(std::sync::Mutex<Option<Instant>>);

impl CheckTime {
    /// Of something that was current at this time.
    pub fn at(at: Instant) -> Self {
        Self(std::sync::Mutex::new(Some(at)))
    }

    /// Records that it was current at this time.
    pub fn note(&self, at: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(at));
    }

    /// Whether it was current less than `trust` ago.
    pub fn is_fresh(&self, trust: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < trust)
    }
}
