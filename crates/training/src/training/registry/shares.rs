//! Shares of sessions, models and bytes for the clients of one address, so that no address can exhaust the server.
//!
//! A session and its content count for the address that created it, until the server restarts: then it counts for none.

use std::collections::HashMap;

use super::Registry;
use crate::training::names::SessionName;
use crate::training::quota::{Quota, RegistryError};

/// The creator of sessions: an address, or an identity if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub u64);

/// What an owner uses, or is about to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) sessions: usize,
    pub(super) models: usize,
    pub(super) bytes: usize,
}

/// The usage of each owner.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<Owner, Share>);

impl Share {
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
    pub(super) fn of(&self, owner: Option<Owner>) -> Share {
        let share = owner.and_then(|owner| self.0.get(&owner));
        share.copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, owner: Option<Owner>, more: Share) {
        if let Some(owner) = owner {
            let share = self.0.entry(owner).or_default();
            share.sessions += more.sessions;
            share.models += more.models;
            share.bytes += more.bytes;
        }
    }

    pub(super) fn take(&mut self, owner: Option<Owner>, less: Share) {
        let Some(owner) = owner else { return };
        if let Some(share) = self.0.get_mut(&owner) {
            share.sessions = share.sessions.saturating_sub(less.sessions);
            share.models = share.models.saturating_sub(less.models);
            share.bytes = share.bytes.saturating_sub(less.bytes);
            if *share == Share::default() {
                self.0.remove(&owner);
            }
        }
    }
}

impl<M> Registry<M> {
    /// Refuses usage that would exceed an owner's share.
    pub(super) fn room_in_share(
        &self,
        owner: Option<Owner>,
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

    /// Refuses a session that would exceed its creator's share, unless the session exists already.
    ///
    /// # Errors
    /// The share is exhausted.
    pub fn room_for_session(
        &self,
        name: &SessionName,
        owner: Option<Owner>,
    ) -> Result<(), RegistryError> {
        if self.sessions.contains_key(name) {
            return Ok(());
        }
        let one = Share {
            sessions: 1,
            ..Share::default()
        };
        self.room_in_share(owner, one)
    }

    /// Counts a newly created session without models for its owner, unless it has an owner already.
    pub fn count_for(&mut self, name: &SessionName, owner: Option<Owner>) {
        if let Some(session) = self.sessions.get_mut(name)
            && session.owner.is_none()
            && session.models.is_empty()
            && !session.is_stored
        {
            session.owner = owner;
            let one = Share {
                sessions: 1,
                ..Share::default()
            };
            self.shares.add(owner, one);
        }
    }
}
