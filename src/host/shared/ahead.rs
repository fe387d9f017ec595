//! Sessions in use whose copy will soon be too old to be believed: the store is asked before a call has to wait for it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::training::SessionName;

/// The sessions to look at.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    sessions: Mutex<HashSet<SessionName>>,
    is_any: Notify,
}

impl Ahead {
    /// Has a session looked at soon.
    pub fn note(&self, name: &SessionName) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if !sessions.contains(name) {
            sessions.insert(name.clone());
            self.is_any.notify_one();
        }
    }

    /// Waits until there are some, and takes them.
    pub async fn take(&self) -> HashSet<SessionName> {
        self.is_any.notified().await;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *sessions)
    }
}
