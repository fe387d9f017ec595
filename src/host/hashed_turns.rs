//! Turns by a key, such as a name, from a fixed number of locks: keys with the same hash share one.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The turns of all keys, first come, first served.
#[derive(Debug)]
pub struct HashedTurns<const TURNS: usize>(Vec<Arc<Mutex<()>>>);

/// The turn of a key; ends when dropped.
pub type HashedTurn = OwnedMutexGuard<()>;

impl<const TURNS: usize> Default for HashedTurns<TURNS> {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Arc::default()).collect())
    }
}

impl<const TURNS: usize> HashedTurns<TURNS> {
    /// Waits for the turn.
    pub async fn take(&self, key: &impl Hash) -> HashedTurn {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let at = usize::try_from(hash % TURNS as u64).unwrap_or_default();
        Arc::clone(&self.0[at]).lock_owned().await
    }
}
