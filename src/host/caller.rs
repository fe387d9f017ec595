//! The caller: a call in progress as the host sees it.
//!
//! The host takes the caller as an argument, never from task-local or thread-local state: signatures show which work is
//! attributed to a caller, and tests need no connection.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use backpropd_identity::{Identity, Reach};
use tokio::sync::Semaphore;

use super::deadline::Deadline;
use super::identity::Login;
use super::limits::memory::{Account, OutOfMemory, Reservation};
use super::party::{Parties, Party};
use super::resource::{Resource, Resources};
use super::tags::ModelTag;
use crate::training::{ModelName, Owner};

/// A call in progress.
#[derive(Debug)]
pub struct Caller {
    /// The call's number in the log.
    pub id: u64,
    /// The client's deadline.
    pub deadline: Deadline,
    parties: Parties,
    /// Who it is, if callers need an identity.
    login: Option<Arc<Login>>,
    /// Whose sessions the call may name.
    reach: OnceLock<Reach>,
    /// What the call names.
    named: Mutex<Resources>,
    account: Arc<Account>,
    /// The memory reserved for its request until the call ends.
    memory: Mutex<Reservation>,
    /// Turns of its connection to create sessions and models; `None` where it has no connection.
    creation_turns: Option<Arc<Semaphore>>,
    model: OnceLock<ModelName>,
}

impl Caller {
    /// Creates the caller of call `id`; `memory` is the request's reservation from `account`.
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
            login: None,
            reach: OnceLock::new(),
            named: Mutex::default(),
            account,
            memory: Mutex::new(memory),
            creation_turns,
            model: OnceLock::new(),
        }
    }

    /// The same caller, who has proved who it is: its calls count for that person, from whichever address.
    #[must_use]
    pub fn logged_in(mut self, login: Option<Arc<Login>>) -> Self {
        if let Some(login) = &login {
            self.parties.origin = login.origin;
        }
        self.login = login;
        self
    }

    /// Who it is; `None` if callers need no identity.
    pub fn identity(&self) -> Option<&Identity> {
        self.login.as_ref().map(|login| &login.identity)
    }

    /// Lets the call name these sessions. Only the first permission takes effect.
    pub fn permit(&self, reach: Reach) {
        self.reach.get_or_init(|| reach);
    }

    /// Whose sessions the call may name.
    pub fn reach(&self) -> Reach {
        self.reach.get().copied().unwrap_or(Reach::Own)
    }

    /// Notes what the call names, for the audit. Without identities there is none.
    pub fn note(&self, resource: impl FnOnce() -> Resource) {
        if self.login.is_some() {
            self.named_mut().add(resource());
        }
    }

    /// Notes that the call names, or shows, what is another person's.
    pub fn note_foreign(&self) {
        self.named_mut().is_foreign = true;
    }

    /// Whether the call names, or shows, what is another person's.
    pub fn is_foreign(&self) -> bool {
        self.named_mut().is_foreign
    }

    /// What the call names, as far as that has been noted.
    pub fn named(&self) -> Resources {
        self.named_mut().clone()
    }

    fn named_mut(&self) -> MutexGuard<'_, Resources> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parties that the call is charged to; includes its model's session once that is known.
    pub fn parties(&self) -> Parties {
        match self.model.get() {
            Some(name) => self.parties.in_session(&name.session),
            None => self.parties,
        }
    }

    /// The narrowest party: the session, or the connection if the call names no session.
    pub fn party(&self) -> Party {
        self.parties().session
    }

    /// The owner whose quota is charged for sessions that the call creates; `None` for the server itself.
    pub fn owner(&self) -> Option<Owner> {
        let share = self.parties().origin.0;
        match self.identity() {
            Some(identity) => Some(Owner::person(share, Arc::clone(&identity.subject))),
            None => (self.parties() != Parties::SERVER).then(|| Owner::address(share)),
        }
    }

    /// Turns of its connection to create sessions and models; `None` where it has no connection.
    pub fn creation_turns(&self) -> Option<Arc<Semaphore>> {
        self.creation_turns.clone()
    }

    /// Attributes the call to a model, for logging and fair queueing. Only the first name takes effect.
    pub fn note_model(&self, name: &ModelName) {
        self.model.get_or_init(|| {
            tracing::debug!(call = self.id, %name, tag = %ModelTag(name), "a call's model");
            name.clone()
        });
    }

    /// The model that the call is attributed to, if any.
    pub fn model(&self) -> Option<&ModelName> {
        self.model.get()
    }

    /// The account that the call's memory is reserved from.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The memory reserved for its request.
    pub fn memory(&self) -> MutexGuard<'_, Reservation> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves `bytes` more until the call ends.
    ///
    /// # Errors
    /// Not enough memory is left.
    pub fn hold(&self, bytes: usize) -> Result<(), OutOfMemory> {
        self.memory().extend(bytes)
    }

    /// Releases `bytes`, after a part of the request has been consumed.
    pub fn release(&self, bytes: usize) {
        self.memory().shrink(bytes);
    }
}
