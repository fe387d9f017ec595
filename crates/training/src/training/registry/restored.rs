//! What a start puts back. No limit refuses it: limits decide what is made anew and what may grow, not what stays.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Held, Registry, Session};
use crate::training::names::{ModelName, SessionName};
use crate::training::quota::RegistryError;
use crate::training::request_log::RequestId;
use crate::training::session::{Access, Now, SessionRecord};

/// The longest time to live that any setting allows; a longer one in a record cannot be meant.
const LONGEST_TTL: Duration = Duration::from_secs(31_536_000);

/// A model that was found on disk.
#[derive(Debug)]
pub struct RestoredModel<M> {
    /// The model; none where it is to stay on disk until it is called for.
    pub model: Option<Arc<M>>,
    /// How many bytes it takes.
    pub bytes: usize,
    /// When it was made.
    pub created: SystemTime,
    /// The request that made it, if that is to be executed once.
    pub request: Option<RequestId>,
}

impl<M> Registry<M> {
    /// Puts back a session whose last call was `idle` before this start, with the time to live that it was promised.
    pub fn restore_session(
        &mut self,
        name: SessionName,
        mut record: SessionRecord,
        idle: Duration,
        now: Now,
    ) {
        record.ttl = record.ttl.min(LONGEST_TTL);
        // The default is no wish of its own.
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
        self.sessions.entry(name).or_insert(session);
    }

    /// Puts back a session whose record is damaged. Its name stays taken, and every call but a deletion hears `reason`.
    pub fn restore_damaged_session(&mut self, name: SessionName, reason: String, now: Now) {
        let record = SessionRecord {
            made_by: None,
            created: now.date,
            ttl: LONGEST_TTL,
            // What it was is not known, so nothing may be opened that it might have closed.
            access: Access::CompareOnly,
            compare_tries: u64::MAX,
        };
        let mut session = Session::new(record, LONGEST_TTL, 0, now);
        session.damage = Some(reason);
        session.is_stored = true;
        self.sessions.entry(name).or_insert(session);
    }

    /// Puts back a model of a session that is there.
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
        let held = Held {
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
        self.models += 1;
        self.bytes += bytes;
    }

    /// Whether `bytes` more of models fit into memory.
    pub fn has_memory_for(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= self.limits.bytes
    }

    /// Finds a model of a session whose record is damaged, for what is allowed there; `None` where it is not in memory.
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
