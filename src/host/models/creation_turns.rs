//! Whose turn it is to create a session or a model.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::host::caller::Caller;

/// Sessions and models that are made durable at once: as many as keep a disk busy. Beside more of them, runs would get
/// little of the processor.
const AT_ONCE: usize = 4;

/// Of these, those of one connection.
pub const OF_CONNECTION: usize = 1;

/// The turns to create sessions and models.
#[derive(Debug)]
pub struct CreationTurns(Arc<Semaphore>);

/// The turn to create a session or a model; over when dropped.
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
    /// Waits for a turn: first come, first served, among the calls of the connection, then among all.
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
