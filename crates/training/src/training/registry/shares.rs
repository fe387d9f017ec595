//! Shares of sessions, models and bytes for the clients of one address, so that no address can exhaust the server.
//!
//! A session and its content count for the address that created it, until the server restarts: then it counts for none.
//! What a person created counts for that person, whose name is in the session's record, after a restart, too.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Registry, Session};
use crate::training::names::SessionName;
use crate::training::quota::{Quota, RegistryError};

/// The creator of sessions: an address, or a person where callers have an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The share that its sessions count against.
    pub share: u64,
    /// The person; `None` for an address, which owns nothing.
    pub subject: Option<Arc<str>>,
}

impl Owner {
    /// An address.
    #[must_use]
    pub fn address(share: u64) -> Self {
        Self {
            share,
            subject: None,
        }
    }

    /// A person.
    #[must_use]
    pub fn person(share: u64, subject: Arc<str>) -> Self {
        Self {
            share,
            subject: Some(subject),
        }
    }
}

/// What an owner uses, or is about to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) sessions: usize,
    pub(super) models: usize,
    pub(super) bytes: usize,
}

/// The usage of each owner.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<u64, Share>);

impl Share {
    /// One session without models.
    pub(super) fn session() -> Self {
        Self {
            sessions: 1,
            ..Self::default()
        }
    }

    /// One model of `bytes`.
    pub(super) fn model(bytes: usize) -> Self {
        Self {
            sessions: 0,
            models: 1,
            bytes,
        }
    }
}

impl Shares {
    pub(super) fn of(&self, owner: Option<&Owner>) -> Share {
        let share = owner.and_then(|owner| self.0.get(&owner.share));
        share.copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, owner: Option<&Owner>, more: Share) {
        if let Some(owner) = owner {
            let share = self.0.entry(owner.share).or_default();
            share.sessions += more.sessions;
            share.models += more.models;
            share.bytes += more.bytes;
        }
    }

    pub(super) fn take(&mut self, owner: Option<&Owner>, less: Share) {
        let Some(owner) = owner else { return };
        if let Some(share) = self.0.get_mut(&owner.share) {
            share.sessions = share.sessions.saturating_sub(less.sessions);
            share.models = share.models.saturating_sub(less.models);
            share.bytes = share.bytes.saturating_sub(less.bytes);
            if *share == Share::default() {
                self.0.remove(&owner.share);
            }
        }
    }
}

impl<M> Registry<M> {
    /// Refuses usage that would exceed an owner's share.
    pub(super) fn room_in_share(
        &self,
        owner: Option<&Owner>,
        more: Share,
    ) -> Result<(), RegistryError> {
        if owner.is_none() {
            return Ok(());
        }
        let (share, limits) = (self.shares.of(owner), &self.limits);
        for (quota, used, more, limit) in [
            (
                Quota::SessionsPerAddress,
                share.sessions,
                more.sessions,
                limits.sessions_per_owner,
            ),
            (
                Quota::ModelsPerAddress,
                share.models,
                more.models,
                limits.models_per_owner,
            ),
            (
                Quota::BytesPerAddress,
                share.bytes,
                more.bytes,
                limits.bytes_per_owner,
            ),
        ] {
            // What an owner had before a limit was lowered may stay.
            if more > 0 {
                self.room(quota, used, more, limit)?;
            }
        }
        Ok(())
    }

    /// Refuses a session that would exceed its creator's share, unless the session exists already and is theirs.
    ///
    /// # Errors
    /// The share is exhausted; the name is that of another person's session.
    pub fn room_for_session(
        &self,
        name: &SessionName,
        owner: Option<&Owner>,
    ) -> Result<(), RegistryError> {
        let is_taken = self.sessions.contains_key(name);
        let owned = self.check_owner(name, owner);
        if is_taken && owned.is_ok() {
            return Ok(());
        }
        // First, so that a person who cannot create a session is not told which ids are taken.
        self.room_in_share(owner, Share::session())?;
        let (all, most) = (self.sessions.len(), self.limits.sessions);
        self.room(Quota::Sessions, all, 1, most)?;
        if is_taken { owned } else { Ok(()) }
    }

    /// Whether a session of this name exists and is this person's. A session that was created without an identity has no
    /// owner.
    pub fn is_owned_by(&self, name: &SessionName, subject: &str) -> bool {
        let session = self.sessions.get(name);
        session.and_then(Session::subject).map(|owner| &**owner) == Some(subject)
    }

    /// Checks that a session is the person's, where the caller is one. A session that does not exist is not, either.
    pub(super) fn check_owner(
        &self,
        name: &SessionName,
        owner: Option<&Owner>,
    ) -> Result<(), RegistryError> {
        match owner.and_then(|owner| owner.subject.as_deref()) {
            Some(subject) if !self.is_owned_by(name, subject) => {
                Err(RegistryError::NotYours(name.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Counts a newly created session without models for its owner, unless it has an owner already.
    pub fn count_for(&mut self, name: &SessionName, owner: Option<Owner>) {
        if let Some(session) = self.sessions.get_mut(name)
            && session.owner.is_none()
            && session.models.is_empty()
            && !session.is_stored
        {
            self.shares.add(owner.as_ref(), Share::session());
            session.owner = owner;
        }
    }
}
