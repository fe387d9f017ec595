//! Sessions and the models in them: who is there, how much is allowed, what has expired.

mod closing;
mod compare;
mod listing;
mod shares;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::names::{Id, ModelName, SessionName};
use super::quota::{Quota, RegistryError, RegistryLimits};
use super::request_log::{RequestId, RequestIdReused, RequestLog};
use super::session::{Access, SessionInfo, SessionRecord};
pub use shares::Owner;
use shares::{Share, Shares};

/// Every session and its models. `M` is what the caller keeps of a model.
#[derive(Debug)]
pub struct Registry<M> {
    limits: RegistryLimits,
    sessions: BTreeMap<SessionName, Session<M>>,
    models: usize,
    bytes: usize,
    shares: Shares,
}

#[derive(Debug)]
struct Session<M> {
    models: BTreeMap<Id, Held<M>>,
    /// What its models take.
    bytes: usize,
    requests: RequestLog<Id>,
    /// The CreateSession request that made it, if that wants to be done once.
    made_by: Option<RequestId>,
    created: SystemTime,
    used: SystemTime,
    ttl: Duration,
    access: Access,
    /// How often its COMPARE_ONLY models were compared with.
    compare_tries: u64,
    /// Whether its record is kept.
    is_stored: bool,
    /// Whether it is being deleted: no call finds it any more.
    is_closing: bool,
    /// Who made it, where that is known: not after a restart.
    owner: Option<Owner>,
    /// How long it lives without a call while it has no model.
    empty_ttl: Duration,
}

#[derive(Debug)]
struct Held<M> {
    /// `None` while it is on disk alone.
    model: Option<Arc<M>>,
    bytes: usize,
}

/// Where a model is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The session; made anew where it does not exist and `new_session` says so.
    pub name: ModelName,
    /// Whether the session is to be made along with the model.
    pub new_session: bool,
    /// How many bytes the model takes.
    pub bytes: usize,
    /// Who asked, if it is to be remembered.
    pub request: Option<RequestId>,
    /// Whose share a new session counts for.
    pub owner: Option<Owner>,
}

impl<M> Registry<M> {
    /// An empty registry.
    pub fn new(limits: RegistryLimits) -> Self {
        Self {
            limits,
            sessions: BTreeMap::new(),
            models: 0,
            bytes: 0,
            shares: Shares::default(),
        }
    }

    /// How many sessions and models there are, and how many of the models are in memory.
    pub fn counts(&self) -> (usize, usize, usize) {
        let models = self
            .sessions
            .values()
            .flat_map(|session| session.models.values());
        let resident = models.filter(|held| held.model.is_some()).count();
        (self.sessions.len(), self.models, resident)
    }

    /// Makes a session, or returns the one that the same request made before.
    ///
    /// # Errors
    /// A taken id, a reused request id, no room.
    pub fn create_session(
        &mut self,
        name: SessionName,
        ttl: Option<Duration>,
        request: Option<RequestId>,
        access: Access,
        now: SystemTime,
    ) -> Result<SessionInfo, RegistryError> {
        if let Some(session) = self.sessions.get(&name) {
            return match (&session.made_by, request) {
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
        let empty_ttl = ttl.unwrap_or(self.limits.empty_session_ttl);
        let ttl = ttl
            .unwrap_or(self.limits.session_ttl)
            .min(self.limits.session_ttl);
        let session = Session {
            models: BTreeMap::new(),
            bytes: 0,
            requests: RequestLog::new(self.limits.requests_per_session),
            made_by: request,
            created: now,
            used: now,
            ttl,
            access,
            compare_tries: 0,
            is_stored: false,
            is_closing: false,
            owner: None,
            empty_ttl,
        };
        let info = session.info(name.clone());
        self.sessions.insert(name, session);
        Ok(info)
    }

    /// What is to be kept of a session, if it is there and not noted as stored.
    pub fn unstored_record(&self, name: &SessionName) -> Option<SessionRecord> {
        let session = self.sessions.get(name)?;
        let is_new = !session.is_stored && !session.is_closing;
        is_new.then(|| session.record())
    }

    /// Notes that this is kept of a session, unless another one has its name by now.
    pub fn note_stored(&mut self, name: &SessionName, record: &SessionRecord) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.is_stored = session.record() == *record;
        }
    }

    /// Puts a session back that was kept, as if it had been called just now.
    ///
    /// # Errors
    /// A taken id, no room.
    pub fn restore_session(
        &mut self,
        name: SessionName,
        record: SessionRecord,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        // The default is no wish of its own.
        let ttl = Some(record.ttl).filter(|ttl| *ttl != self.limits.session_ttl);
        self.create_session(name.clone(), ttl, record.made_by, record.access, now)?;
        if let Some(session) = self.sessions.get_mut(&name) {
            session.created = record.created;
            session.compare_tries = record.compare_tries;
            session.is_stored = true;
        }
        Ok(())
    }

    /// Tells about a session and renews it.
    ///
    /// # Errors
    /// No such session.
    pub fn session(
        &mut self,
        name: &SessionName,
        now: SystemTime,
    ) -> Result<SessionInfo, RegistryError> {
        Ok(self.renew(name, now)?.info(name.clone()))
    }

    /// Removes a session and its models, hands out those in memory, and tells how many there were in all.
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
        self.shares.take(session.owner, share);
        self.models -= count;
        self.bytes -= session.bytes;
        let models = session.models.into_values();
        Ok((models.filter_map(|held| held.model).collect(), count))
    }

    /// Every session that nobody has called for its time to live. It answers no more, and is there until it is deleted.
    pub fn expired(&self, now: SystemTime) -> Vec<SessionName> {
        self.sessions
            .iter()
            .filter(|(_, session)| session.used + session.life() <= now && !session.is_closing)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether a model could be added now, or which one the same request made before: its name. Asked before the model is
    /// built, so that a refusal costs nothing.
    ///
    /// # Errors
    /// What [`Registry::insert`] would answer.
    pub fn check(
        &mut self,
        placement: &Placement,
        now: SystemTime,
    ) -> Result<Option<ModelName>, RegistryError> {
        if placement.new_session {
            self.room(
                Quota::Sessions,
                self.sessions.len(),
                1,
                self.limits.sessions,
            )?;
            self.room_in_session(0, placement.bytes)?;
            let share = Share {
                sessions: 1,
                ..Share::model(placement.bytes)
            };
            self.room_in_share(placement.owner, share)?;
        } else {
            let name = &placement.name;
            let limit = self.limits.models_per_session;
            let session = self.renew(&name.session, now)?;
            if let Some(request) = &placement.request
                && let Some(id) = session.requests.find(request)?
                && session.models.contains_key(&id)
            {
                return Ok(Some(ModelName {
                    session: name.session.clone(),
                    model: id,
                }));
            }
            if session.models.contains_key(&name.model) {
                return Err(RegistryError::ModelTaken(name.clone()));
            }
            let (held, bytes, owner) = (session.models.len(), session.bytes, session.owner);
            self.room(Quota::ModelsPerSession, held, 1, limit)?;
            self.room_in_session(bytes, placement.bytes)?;
            self.room_in_share(owner, Share::model(placement.bytes))?;
        }
        self.room(Quota::Models, self.models, 1, self.limits.models)?;
        self.room(Quota::Bytes, self.bytes, placement.bytes, self.limits.bytes)?;
        Ok(None)
    }

    /// Adds a model, and its session where that is new; or adds nothing and returns the name of the one that the same
    /// request made before.
    ///
    /// # Errors
    /// No such session, a taken id, a reused request id, no room.
    pub fn insert(
        &mut self,
        placement: Placement,
        model: Arc<M>,
        now: SystemTime,
    ) -> Result<Option<ModelName>, RegistryError> {
        if let Some(made) = self.check(&placement, now)? {
            return Ok(Some(made));
        }
        let name = placement.name;
        if placement.new_session {
            self.create_session(name.session.clone(), None, None, Access::Full, now)?;
            self.count_for(&name.session, placement.owner);
        }
        let session = self.renew(&name.session, now)?;
        if let Some(request) = placement.request {
            session.requests.record(request, name.model.clone());
        }
        let held = Held {
            model: Some(model),
            bytes: placement.bytes,
        };
        session.models.insert(name.model, held);
        session.bytes += placement.bytes;
        let owner = session.owner;
        self.shares.add(owner, Share::model(placement.bytes));
        self.models += 1;
        self.bytes += placement.bytes;
        Ok(None)
    }

    /// Finds a model and renews its session; `None` where it is not in memory.
    ///
    /// # Errors
    /// No such session or model.
    pub fn model(
        &mut self,
        name: &ModelName,
        now: SystemTime,
    ) -> Result<Option<Arc<M>>, RegistryError> {
        Ok(self.held(name, now)?.model.clone())
    }

    /// Takes a model back into memory, unless somebody else has: then that one counts.
    ///
    /// # Errors
    /// No such session or model, any more.
    pub fn bring_back(
        &mut self,
        name: &ModelName,
        model: Arc<M>,
        now: SystemTime,
    ) -> Result<Arc<M>, RegistryError> {
        let held = self.held(name, now)?;
        Ok(Arc::clone(held.model.get_or_insert(model)))
    }

    /// Drops from memory what nobody uses of sessions that were not called for `idle`, and tells how many models that
    /// were. `is_safe` says whether a model can be brought back as it is.
    pub fn evict(
        &mut self,
        idle: Duration,
        now: SystemTime,
        is_safe: impl Fn(&M) -> bool,
    ) -> usize {
        let mut evicted = 0;
        for session in self.sessions.values_mut() {
            if session.used + idle > now {
                continue;
            }
            for held in session.models.values_mut() {
                // Every user has a handle of its own; the last one left is this.
                let is_unused =
                    |model: &mut Arc<M>| Arc::strong_count(model) == 1 && is_safe(model);
                evicted += usize::from(held.model.take_if(is_unused).is_some());
            }
        }
        evicted
    }

    fn held(&mut self, name: &ModelName, now: SystemTime) -> Result<&mut Held<M>, RegistryError> {
        self.renew(&name.session, now)?
            .models
            .get_mut(&name.model)
            .ok_or_else(|| RegistryError::NoModel(name.clone()))
    }

    /// The ids of at most `count` models of a session after `after`, in their order; renews the session.
    ///
    /// # Errors
    /// No such session.
    pub fn models(
        &mut self,
        session: &SessionName,
        after: Option<&Id>,
        count: usize,
        now: SystemTime,
    ) -> Result<Vec<Id>, RegistryError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (from, Bound::Unbounded);
        let models = self.renew(session, now)?.models.range(range);
        Ok(models.take(count).map(|(id, _)| id.clone()).collect())
    }

    /// Removes a model.
    ///
    /// # Errors
    /// No such session or model.
    pub fn delete_model(&mut self, name: &ModelName, now: SystemTime) -> Result<(), RegistryError> {
        let session = self.renew(&name.session, now)?;
        let held = session
            .models
            .remove(&name.model)
            .ok_or_else(|| RegistryError::NoModel(name.clone()))?;
        session.bytes -= held.bytes;
        let owner = session.owner;
        self.shares.take(owner, Share::model(held.bytes));
        self.models -= 1;
        self.bytes -= held.bytes;
        Ok(())
    }

    fn renew(
        &mut self,
        name: &SessionName,
        now: SystemTime,
    ) -> Result<&mut Session<M>, RegistryError> {
        match self.sessions.get_mut(name) {
            Some(session) if session.used + session.life() > now && !session.is_closing => {
                session.used = session.used.max(now);
                Ok(session)
            }
            Some(_) | None => Err(RegistryError::NoSession(name.clone())),
        }
    }

    fn room_in_session(&self, used: usize, more: usize) -> Result<(), RegistryError> {
        self.room(
            Quota::BytesPerSession,
            used,
            more,
            self.limits.bytes_per_session,
        )
    }

    fn room(
        &self,
        quota: Quota,
        used: usize,
        more: usize,
        limit: usize,
    ) -> Result<(), RegistryError> {
        if used.saturating_add(more) <= limit {
            Ok(())
        } else {
            Err(RegistryError::Quota { quota, limit })
        }
    }
}
