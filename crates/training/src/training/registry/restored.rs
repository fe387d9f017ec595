//! Restores sessions and models at startup. Limits do not apply here: they restrict what is created or grows, not what
//! exists.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::shares::Share;
use super::{Owner, RegisteredModel, Registry, Session};
use crate::training::names::{ModelName, SessionName};
use crate::training::quota::RegistryError;
use crate::training::request_log::RequestId;
use crate::training::session::{Access, Now, SessionRecord};

/// The longest ttl that any setting allows; a longer one in a record is invalid.
const LONGEST_TTL: Duration = Duration::from_secs(31_536_000);

/// A model found on disk.
#[derive(Debug)]
pub struct RestoredModel<M> {
    /// The model; `None` if it stays on disk until it is used.
    pub model: Option<Arc<M>>,
    /// The size of the model, in bytes.
    pub bytes: usize,
    /// The creation time.
    pub created: SystemTime,
    /// The request that created it, if it has a request id.
    pub request: Option<RequestId>,
}

impl<M> Registry<M> {
    /// Restores a session whose last call was `idle` before startup, with the ttl that it was promised. `share` is the
    /// one of the person who owns it, if the record names one.
    pub fn restore_session(
        &mut self,
        name: SessionName,
        mut record: SessionRecord,
        share: Option<u64>,
        idle: Duration,
        now: Now,
    ) {
        if self.sessions.contains_key(&name) {
            return;
        }
        let owner = share.zip(record.owner.clone());
        let owner = owner.map(|(share, subject)| Owner::person(share, subject));
        record.ttl = record.ttl.min(LONGEST_TTL);
        // A ttl equal to the default is not treated as the session's own choice.
        let is_default = record.ttl == self.limits.session_ttl;
        let empty_ttl = if is_default {
            self.limits.empty_session_ttl
        } else {
            record.ttl
        };
        let remembered = self.limits.requests_per_session;
        let mut session = Session::new(record, empty_ttl, remembered, now);
        session.idle_before = idle;
        session.is_stored = true;
        self.shares.add(owner.as_ref(), Share::session());
        session.owner = owner;
        self.sessions.insert(name, session);
    }

    /// Adds a session that this server shares with others, or renews the one that it knows.
    pub fn share_session(
        &mut self,
        name: SessionName,
        record: SessionRecord,
        share: Option<u64>,
        now: Now,
    ) {
        match self.sessions.get_mut(&name) {
            Some(session) if session.damage.is_none() => session.renew(now),
            Some(_) => {
                // The record was damaged, and was written again.
                self.sessions.remove(&name);
                self.restore_session(name, record, share, Duration::ZERO, now);
            }
            None => self.restore_session(name, record, share, Duration::ZERO, now),
        }
    }

    /// Restores a session whose record is damaged. Its name stays taken, and every call but a deletion gets `reason`.
    pub fn restore_damaged_session(&mut self, name: SessionName, reason: String, now: Now) {
        let record = SessionRecord {
            made_by: None,
            created: now.date,
            ttl: LONGEST_TTL,
            // The original access is unknown, so choose the restrictive one.
            access: Access::CompareOnly,
            compare_tries: u64::MAX,
            owner: None,
        };
        let mut session = Session::new(record, LONGEST_TTL, 0, now);
        session.damage = Some(reason);
        session.is_stored = true;
        self.sessions.entry(name).or_insert(session);
    }

    /// Restores a model of an existing session.
    pub fn restore_model(&mut self, name: &ModelName, restored: RestoredModel<M>) {
        let Some(session) = self.sessions.get_mut(&name.session) else {
            return;
        };
        let RestoredModel {
            model,
            bytes,
            created,
            request,
        } = restored;
        let held = RegisteredModel {
            model,
            bytes,
            created,
            over: None,
        };
        if session.models.insert(name.model.clone(), held).is_some() {
            return;
        }
        if let Some(request) = request {
            session.requests.restore(request, name.model.clone());
        }
        session.bytes += bytes;
        self.shares.add(session.owner.as_ref(), Share::model(bytes));
        self.models += 1;
        self.bytes += bytes;
    }

    /// Whether models of `bytes` more fit in memory.
    pub fn has_memory_for(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= self.limits.bytes
    }

    /// Finds a model of a session whose record is damaged, for the requests allowed there; `None` if it is not in
    /// memory.
    ///
    /// # Errors
    /// No such session or model, or a session that is not damaged.
    pub fn model_of_damaged(&self, name: &ModelName) -> Result<Option<Arc<M>>, RegistryError> {
        let session = self.sessions.get(&name.session);
        let session = session.filter(|session| session.damage.is_some());
        let session = session.ok_or_else(|| RegistryError::NoSession(name.session.clone()))?;
        let held = session.models.get(&name.model);
        let held = held.ok_or_else(|| RegistryError::NoModel(name.clone()))?;
        Ok(held.model.clone())
    }
}
