//! Serializes changes to a session's own files: creating it, writing its record, removing it. A deletion therefore
//! waits for the creation, and no record is written into a folder that is being removed.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::training::SessionName;

/// Number of turns shared by all sessions, more than the concurrent writes of a disk.
const TURNS: usize = 256;

/// The turns of sessions, first come, first served.
#[derive(Debug)]
pub struct SessionTurns(Vec<Arc<Mutex<()>>>);

/// The turn of a session; ends when dropped. Its holder must not wait for another session's turn, nor for the turn of a
/// model that another call can hold, so that calls never deadlock.
#[derive(Debug)]
pub struct SessionTurn {
    _guard: OwnedMutexGuard<()>,
}

impl Default for SessionTurns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Arc::default()).collect())
    }
}

impl SessionTurns {
    /// Waits for the turn.
    pub async fn take(&self, session: &SessionName) -> Arc<SessionTurn> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(session.0.to_string());
        let at = usize::try_from(hash % TURNS as u64).unwrap_or_default();
        let guard = Arc::clone(&self.0[at]).lock_owned().await;
        Arc::new(SessionTurn { _guard: guard })
    }
}
