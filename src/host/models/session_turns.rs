//! Whose turn it is to change what the disk holds of a session itself: to make it, to write its record, to remove it. A
//! deletion therefore waits for the making, and a record is never written into a folder that is on its way out.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::training::SessionName;

/// Sessions share this many turns: more than disks write at once.
const TURNS: usize = 256;

/// A turn for each session, first come, first served.
#[derive(Debug)]
pub struct SessionTurns(Vec<Arc<Mutex<()>>>);

/// The turn of a session; over when dropped. Its holder waits for no other session's turn, and for the turn of no model
/// that another call can hold: so no two calls wait for each other.
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
