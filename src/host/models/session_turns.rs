//! Serializes changes to a session's own files: creating it, writing its record, removing it. A deletion therefore
//! waits for the creation, and no record is written into a folder that is being removed.

use std::sync::Arc;

use crate::host::hashed_turns::{HashedTurn, HashedTurns};
use crate::training::SessionName;

/// Number of turns shared by all sessions, more than the concurrent writes of a disk.
const TURNS: usize = 256;

/// The turns of sessions, first come, first served.
#[derive(Debug, Default)]
pub struct SessionTurns(HashedTurns<TURNS>);

/// The turn of a session; ends when dropped. Its holder must not wait for another session's turn, nor for the turn of a
/// model that another call can hold, so that calls never deadlock.
#[derive(Debug)]
pub struct SessionTurn {
    _turn: HashedTurn,
}

impl SessionTurns {
    /// Waits for the turn.
    pub async fn take(&self, session: &SessionName) -> Arc<SessionTurn> {
        let turn = self.0.take(session).await;
        Arc::new(SessionTurn { _turn: turn })
    }
}
