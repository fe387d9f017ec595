//! Who asks: a call under way as the host sees it.
//!
//! The host takes the caller as an argument, and never from the task or the thread it runs on: what it does for whom can
//! be read off its signatures, and tested without a connection.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use super::deadline::Deadline;
use super::limits::memory::{Account, OutOfMemory, Reservation};
use super::party::{Parties, Party};
use super::tags::ModelTag;
use crate::training::{ModelName, Owner};

/// A call under way.
#[derive(Debug)]
pub struct Caller {
    /// The number by which the log knows the call.
    pub id: u64,
    /// When its client stops waiting.
    pub deadline: Deadline,
    parties: Parties,
    account: Arc<Account>,
    /// The memory that its request takes, for as long as work on it goes on.
    memory: Mutex<Reservation>,
    /// Turns of its connection to create sessions and models; `None` where it has no connection.
    creation_turns: Option<Arc<Semaphore>>,
    model: OnceLock<ModelName>,
}

impl Caller {
    /// The call of this number by `parties`, whose request holds `memory` of `account`.
    pub fn new(
        id: u64,
        parties: Parties,
        deadline: Deadline,
        (account, memory): (Arc<Account>, Reservation),
        creation_turns: Option<Arc<Semaphore>>,
    ) -> Self {
        Self {
            id,
            deadline,
            parties,
            account,
            memory: Mutex::new(memory),
            creation_turns,
            model: OnceLock::new(),
        }
    }

    /// Who asks: in the session of its model, once that is noted.
    pub fn parties(&self) -> Parties {
        match self.model.get() {
            Some(name) => self.parties.in_session(&name.session),
            None => self.parties,
        }
    }

    /// The narrowest of its parties: its session, or its connection where it names none.
    pub fn party(&self) -> Party {
        self.parties().session
    }

    /// Whose share the sessions count for that it creates; `None` for the server itself.
    pub fn owner(&self) -> Option<Owner> {
        let parties = self.parties();
        (parties != Parties::SERVER).then_some(Owner(parties.origin.0))
    }

    /// Turns of its connection to create sessions and models; `None` where it has no connection.
    pub fn creation_turns(&self) -> Option<Arc<Semaphore>> {
        self.creation_turns.clone()
    }

    /// Notes which model the call is about, for the log and for whose turn it takes. The first name counts.
    pub fn note_model(&self, name: &ModelName) {
        self.model.get_or_init(|| {
            tracing::debug!(call = self.id, %name, tag = %ModelTag(name), "a call's model");
            name.clone()
        });
    }

    /// The model that the call is about, as far as that is known.
    pub fn model(&self) -> Option<&ModelName> {
        self.model.get()
    }

    /// The account that its memory comes from.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The memory that it holds for its request.
    pub fn memory(&self) -> MutexGuard<'_, Reservation> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its memory grows by `bytes`, until it is answered.
    ///
    /// # Errors
    /// There are not so many left for it.
    pub fn hold(&self, bytes: usize) -> Result<(), OutOfMemory> {
        self.memory().extend(bytes)
    }

    /// Holds `bytes` less: a part of its request is used up.
    pub fn release(&self, bytes: usize) {
        self.memory().shrink(bytes);
    }
}
