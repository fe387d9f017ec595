//! What callers from one address have of the server's sessions, models and bytes, so that one of them cannot take all.
//!
//! A session, with all that is in it, counts for the address that it was made from, for as long as the server runs: after a
//! restart it counts for none.

use std::collections::HashMap;

use super::Registry;
use crate::training::names::SessionName;
use crate::training::quota::{Quota, RegistryError};

/// Who makes sessions: an address, or an identity where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub u64);

/// What an owner has, or is about to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) sessions: usize,
    pub(super) models: usize,
    pub(super) bytes: usize,
}

/// The share of each owner that has one.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<Owner, Share>);

impl Share {
    /// One model of so many bytes.
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
    /// Refuses what would pass an owner's share.
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

    /// Refuses a session that would pass its maker's share, unless it is there already.
    ///
    /// # Errors
    /// The owner has as many as allowed.
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

    /// Counts a session that was just made, and has no model, for its maker, unless it counts for somebody already.
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
