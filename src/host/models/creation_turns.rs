//! Limits how many sessions and models are created at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::host::caller::Caller;

/// Sessions and models made durable concurrently: enough to keep a disk busy. More would starve runs of CPU time.
const AT_ONCE: usize = 4;

/// How many of them may belong to one connection.
pub const OF_CONNECTION: usize = 1;

/// Turns to create sessions and models.
#[derive(Debug)]
pub struct CreationTurns(Arc<Semaphore>);

/// A turn to create a session or a model; ends when dropped.
#[derive(Debug)]
pub struct CreationTurn {
    _of_connection: Option<OwnedSemaphorePermit>,
    _of_server: Option<OwnedSemaphorePermit>,
}

impl Default for CreationTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl CreationTurns {
    /// Waits for a turn, first come, first served: first among the calls of the connection, then among all.
    pub async fn take(&self, caller: &Caller) -> CreationTurn {
        // The semaphores are never closed.
        let of_connection = match caller.creation_turns() {
            Some(own) => own.acquire_owned().await.ok(),
            None => None,
        };
        let of_server = Arc::clone(&self.0).acquire_owned().await.ok();
        CreationTurn {
            _of_connection: of_connection,
            _of_server: of_server,
        }
    }
}
