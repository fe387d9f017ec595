//! What a node knows of an object in the shared store.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use backpropd_bucket::Seen;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::training::DatasetName;

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
        let copy = Self {
            seen: Mutex::new(Some(seen)),
            checked: CheckTime::default(),
        };
        copy.checked.note(at);
        copy
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
        let copy = Self {
            seen,
            path,
            checked: CheckTime::default(),
        };
        copy.checked.note(at);
        copy
    }
}

impl Drop for DatasetCopy {
    fn drop(&mut self) {
        // Whoever reads it has it open.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a dataset's local file cannot be removed");
        }
    }
}

/// Turns to fetch a dataset: others are fetched meanwhile, but for the few that share a turn.
#[derive(Debug)]
pub(super) struct Fetches([Mutex<()>; FETCHES]);

const FETCHES: usize = 64;

impl Default for Fetches {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Fetches {
    /// Waits for the turn to fetch this dataset.
    pub async fn take(&self, name: &DatasetName) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
        let at = usize::try_from(hash % FETCHES as u64).unwrap_or_default();
        self.0[at].lock().await
    }
}

/// When something was last known to be current: before the request was sent whose reply said so.
#[derive(Debug, Default)]
pub struct CheckTime(std::sync::Mutex<Option<Instant>>);

impl CheckTime {
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
