//! Sessions as leases: created, renewed by every call, expired without one, deleted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::shares::Share;
use super::{Registry, Session};
use crate::training::names::SessionName;
use crate::training::quota::{Quota, RegistryError};
use crate::training::request_log::{RequestId, RequestIdReused, RequestLog};
use crate::training::session::{Access, Now, SessionInfo, SessionRecord};

impl<M> Registry<M> {
    /// Creates a session, or returns the one that the same request created.
    ///
    /// # Errors
    /// A taken id, a reused request id, or an exhausted quota.
    pub fn create_session(
        &mut self,
        name: SessionName,
        ttl: Option<Duration>,
        request: Option<RequestId>,
        access: Access,
        now: Now,
    ) -> Result<SessionInfo, RegistryError> {
        if let Some(session) = self.sessions.get(&name) {
            return match (&session.made_by, request) {
                // The deletion comes after.
                (Some(made_by), Some(request))
                    if *made_by == request
                        && session.is_closing
                        && session.age(now) < session.life() =>
                {
                    Ok(session.info(name, now))
                }
                (Some(made_by), Some(request)) if *made_by == request => self.session(&name, now),
                (Some(made_by), Some(request)) if made_by.id == request.id => {
                    Err(RequestIdReused(request.id).into())
                }
                (Some(_) | None, Some(_) | None) => Err(RegistryError::SessionTaken(name)),
            };
        }
        self.room(
            Quota::Sessions,
            self.sessions.len(),
            1,
            self.limits.sessions,
        )?;
        let longest = self.limits.session_ttl;
        let record = SessionRecord {
            made_by: request,
            created: now.date,
            ttl: ttl.unwrap_or(longest).min(longest),
            access,
            compare_tries: 0,
            // Noted with its share.
            owner: None,
        };
        let empty_ttl = ttl.unwrap_or(self.limits.empty_session_ttl);
        let session = Session::new(record, empty_ttl, self.limits.requests_per_session, now);
        let info = session.info(name.clone(), now);
        self.sessions.insert(name, session);
        Ok(info)
    }

    /// The record of a session if it is not on disk yet. This includes a session that is being deleted, because its
    /// deletion waits for the record.
    ///
    /// # Errors
    /// No such session.
    pub fn unstored_record(
        &self,
        name: &SessionName,
    ) -> Result<Option<SessionRecord>, RegistryError> {
        let session = self.sessions.get(name);
        let session = session.ok_or_else(|| RegistryError::NoSession(name.clone()))?;
        Ok((!session.is_stored).then(|| session.record()))
    }

    /// Marks this record as stored, unless the name belongs to another session by now.
    pub fn note_stored(&mut self, name: &SessionName, record: &SessionRecord) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.is_stored = session.record() == *record;
        }
    }

    /// Describes a session and renews its lease.
    ///
    /// # Errors
    /// An unknown session, or one whose record is damaged.
    pub fn session(&mut self, name: &SessionName, now: Now) -> Result<SessionInfo, RegistryError> {
        Ok(self.renew(name, now)?.info(name.clone(), now))
    }

    /// Checks that this name can be deleted. A damaged session can.
    ///
    /// # Errors
    /// No such session.
    pub fn check_to_delete(&mut self, name: &SessionName, now: Now) -> Result<(), RegistryError> {
        match self.renew(name, now) {
            Ok(_) | Err(RegistryError::SessionDamaged { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a session and its models. Returns the models in memory, and the number of all.
    ///
    /// # Errors
    /// No such session.
    pub fn delete_session(
        &mut self,
        name: &SessionName,
    ) -> Result<(Vec<Arc<M>>, usize), RegistryError> {
        let session = self
            .sessions
            .remove(name)
            .ok_or_else(|| RegistryError::NoSession(name.clone()))?;
        let count = session.models.len();
        let share = Share {
            sessions: 1,
            models: count,
            bytes: session.bytes,
        };
        self.shares.take(session.owner.as_ref(), share);
        self.models -= count;
        self.bytes -= session.bytes;
        self.find_over_limits();
        let models = session.models.into_values();
        Ok((models.filter_map(|held| held.model).collect(), count))
    }

    /// Every session whose ttl has passed without a call. Calls no longer find it, but it exists until it is deleted. A
    /// damaged session does not expire.
    pub fn expired(&self, now: Now) -> Vec<SessionName> {
        self.sessions
            .iter()
            .filter(|(_, session)| session.damage.is_none() && !session.is_closing)
            .filter(|(_, session)| session.age(now) >= session.life())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Notes how many datasets a session has: one that has some lives as long as one with models.
    pub fn note_datasets(&mut self, name: &SessionName, count: usize) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.datasets = count;
        }
    }

    /// Whether a session is known, expired or not.
    pub fn has_session(&self, name: &SessionName) -> bool {
        self.sessions.contains_key(name)
    }

    /// Whether calls find a session, or it is being deleted.
    pub fn has_live_session(&self, name: &SessionName, now: Now) -> bool {
        let session = self.sessions.get(name);
        session.is_some_and(|session| {
            session.is_closing || (session.damage.is_none() && session.age(now) < session.life())
        })
    }

    /// The time that a session has been without a call.
    pub fn age(&self, name: &SessionName, now: Now) -> Option<Duration> {
        Some(self.sessions.get(name)?.age(now))
    }

    /// The time each session has been without a call.
    pub fn ages(&self, now: Now) -> BTreeMap<SessionName, Duration> {
        let sessions = self.sessions.iter();
        sessions
            .filter(|(_, session)| session.damage.is_none())
            .map(|(name, session)| (name.clone(), session.age(now)))
            .collect()
    }
}

impl<M> Session<M> {
    pub(super) fn new(
        record: SessionRecord,
        empty_ttl: Duration,
        remembered_requests: usize,
        now: Now,
    ) -> Self {
        Self {
            models: BTreeMap::new(),
            datasets: 0,
            bytes: 0,
            requests: RequestLog::new(remembered_requests),
            made_by: record.made_by,
            created: record.created,
            used: now.uptime,
            idle_before: Duration::ZERO,
            ttl: record.ttl,
            access: record.access,
            compare_tries: record.compare_tries,
            is_stored: false,
            damage: None,
            is_closing: false,
            owner: None,
            empty_ttl,
        }
    }

    /// The time since the last call.
    pub(super) fn age(&self, now: Now) -> Duration {
        now.uptime.saturating_sub(self.used) + self.idle_before
    }

    /// Restarts the lease at a call.
    pub(super) fn renew(&mut self, now: Now) {
        self.used = self.used.max(now.uptime);
        self.idle_before = Duration::ZERO;
    }
}
