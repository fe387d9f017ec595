//! Sessions and the models in them: who is there, how much is allowed, what has expired.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::names::{Id, ModelName, SessionName};
use super::quota::{Quota, RegistryError, RegistryLimits};
use super::request_log::{RequestId, RequestIdReused, RequestLog};
use super::session::{Access, SessionInfo, SessionRecord};

/// Every session and its models. `M` is what the caller keeps of a model.
#[derive(Debug)]
pub struct Registry<M> {
    limits: RegistryLimits,
    sessions: BTreeMap<SessionName, Session<M>>,
    models: usize,
    bytes: usize,
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
    /// Whether its record is kept.
    is_stored: bool,
}

#[derive(Debug)]
struct Held<M> {
    model: Arc<M>,
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
}

impl<M> Registry<M> {
    /// An empty registry.
    pub fn new(limits: RegistryLimits) -> Self {
        Self {
            limits,
            sessions: BTreeMap::new(),
            models: 0,
            bytes: 0,
        }
    }

    /// How many sessions and models there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.sessions.len(), self.models)
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
            is_stored: false,
        };
        let info = session.info(name.clone());
        self.sessions.insert(name, session);
        Ok(info)
    }

    /// What is to be kept of a session, if it is there and not noted as stored.
    pub fn unstored_record(&self, name: &SessionName) -> Option<SessionRecord> {
        let session = self.sessions.get(name)?;
        (!session.is_stored).then(|| session.record())
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
        let ttl = Some(record.ttl);
        self.create_session(name.clone(), ttl, record.made_by, record.access, now)?;
        if let Some(session) = self.sessions.get_mut(&name) {
            session.created = record.created;
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

    /// At most `count` sessions after `after`, in the order of their names. Renews none.
    pub fn sessions(&self, after: Option<&SessionName>, count: usize) -> Vec<SessionInfo> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.sessions
            .range((from, Bound::Unbounded))
            .take(count)
            .map(|(name, session)| session.info(name.clone()))
            .collect()
    }

    /// Removes a session and hands its models out.
    ///
    /// # Errors
    /// No such session.
    pub fn delete_session(&mut self, name: &SessionName) -> Result<Vec<Arc<M>>, RegistryError> {
        let session = self
            .sessions
            .remove(name)
            .ok_or_else(|| RegistryError::NoSession(name.clone()))?;
        Ok(self.release(session))
    }

    /// Every session that nobody has called for its time to live. It answers no more, and is there until it is deleted.
    pub fn expired(&self, now: SystemTime) -> Vec<SessionName> {
        self.sessions
            .iter()
            .filter(|(_, session)| session.used + session.ttl <= now)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// All models of a session, which this does not renew.
    pub fn all_models(&self, session: &SessionName) -> Vec<Arc<M>> {
        let models = self.sessions.get(session).map(|session| &session.models);
        models
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|held| Arc::clone(&held.model))
            .collect()
    }

    /// All models of all sessions; renews none.
    pub fn every_model(&self) -> Vec<Arc<M>> {
        let models = self
            .sessions
            .values()
            .flat_map(|session| session.models.values());
        models.map(|held| Arc::clone(&held.model)).collect()
    }

    /// Whether a model could be added now, or which one the same request made before. Asked before the model is
    /// built, so that a refusal costs nothing.
    ///
    /// # Errors
    /// What [`Registry::insert`] would answer.
    pub fn check(
        &mut self,
        placement: &Placement,
        now: SystemTime,
    ) -> Result<Option<Arc<M>>, RegistryError> {
        if placement.new_session {
            self.room(
                Quota::Sessions,
                self.sessions.len(),
                1,
                self.limits.sessions,
            )?;
            self.room_in_session(0, placement.bytes)?;
        } else {
            let name = &placement.name;
            let limit = self.limits.models_per_session;
            let session = self.renew(&name.session, now)?;
            if let Some(request) = &placement.request
                && let Some(id) = session.requests.find(request)?
                && let Some(held) = session.models.get(&id)
            {
                return Ok(Some(Arc::clone(&held.model)));
            }
            if session.models.contains_key(&name.model) {
                return Err(RegistryError::ModelTaken(name.clone()));
            }
            let (held, bytes) = (session.models.len(), session.bytes);
            self.room(Quota::ModelsPerSession, held, 1, limit)?;
            self.room_in_session(bytes, placement.bytes)?;
        }
        self.room(Quota::Models, self.models, 1, self.limits.models)?;
        self.room(Quota::Bytes, self.bytes, placement.bytes, self.limits.bytes)?;
        Ok(None)
    }

    /// Adds a model, and its session where that is new; or returns the one that the same request made before.
    ///
    /// # Errors
    /// No such session, a taken id, a reused request id, no room.
    pub fn insert(
        &mut self,
        placement: Placement,
        model: Arc<M>,
        now: SystemTime,
    ) -> Result<Arc<M>, RegistryError> {
        if let Some(made) = self.check(&placement, now)? {
            return Ok(made);
        }
        let name = placement.name;
        if placement.new_session {
            self.create_session(name.session.clone(), None, None, Access::Full, now)?;
        }
        let session = self.renew(&name.session, now)?;
        if let Some(request) = placement.request {
            session.requests.record(request, name.model.clone());
        }
        let held = Held {
            model: Arc::clone(&model),
            bytes: placement.bytes,
        };
        session.models.insert(name.model, held);
        session.bytes += placement.bytes;
        self.models += 1;
        self.bytes += placement.bytes;
        Ok(model)
    }

    /// Finds a model and renews its session.
    ///
    /// # Errors
    /// No such session or model.
    pub fn model(&mut self, name: &ModelName, now: SystemTime) -> Result<Arc<M>, RegistryError> {
        self.renew(&name.session, now)?
            .models
            .get(&name.model)
            .map(|held| Arc::clone(&held.model))
            .ok_or_else(|| RegistryError::NoModel(name.clone()))
    }

    /// At most `count` models of a session after `after`, in the order of their ids; renews the session.
    ///
    /// # Errors
    /// No such session.
    pub fn models(
        &mut self,
        session: &SessionName,
        after: Option<&Id>,
        count: usize,
        now: SystemTime,
    ) -> Result<Vec<(Id, Arc<M>)>, RegistryError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .renew(session, now)?
            .models
            .range((from, Bound::Unbounded))
            .take(count)
            .map(|(id, held)| (id.clone(), Arc::clone(&held.model)))
            .collect())
    }

    /// Removes a model and hands it out.
    ///
    /// # Errors
    /// No such session or model.
    pub fn delete_model(
        &mut self,
        name: &ModelName,
        now: SystemTime,
    ) -> Result<Arc<M>, RegistryError> {
        let session = self.renew(&name.session, now)?;
        let held = session
            .models
            .remove(&name.model)
            .ok_or_else(|| RegistryError::NoModel(name.clone()))?;
        session.bytes -= held.bytes;
        self.models -= 1;
        self.bytes -= held.bytes;
        Ok(held.model)
    }

    fn renew(
        &mut self,
        name: &SessionName,
        now: SystemTime,
    ) -> Result<&mut Session<M>, RegistryError> {
        match self.sessions.get_mut(name) {
            Some(session) if session.used + session.ttl > now => {
                session.used = session.used.max(now);
                Ok(session)
            }
            Some(_) | None => Err(RegistryError::NoSession(name.clone())),
        }
    }

    fn release(&mut self, session: Session<M>) -> Vec<Arc<M>> {
        self.models -= session.models.len();
        self.bytes -= session.bytes;
        session
            .models
            .into_values()
            .map(|held| held.model)
            .collect()
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

impl<M> Session<M> {
    fn record(&self) -> SessionRecord {
        SessionRecord {
            made_by: self.made_by.clone(),
            created: self.created,
            ttl: self.ttl,
            access: self.access,
        }
    }

    fn info(&self, name: SessionName) -> SessionInfo {
        SessionInfo {
            name,
            models: self.models.len(),
            created: self.created,
            expires: self.used + self.ttl,
            access: self.access,
        }
    }
}
