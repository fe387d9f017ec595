//! Sessions and their models: which exist, which quotas apply, which have expired.

mod limits;
mod restored;
mod sessions;

mod closing;
mod compare;
mod listing;
mod shares;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::names::{Id, ModelName, SessionName};
use super::quota::{OverLimit, Quota, RegistryError, RegistryLimits};
use super::request_log::{RequestId, RequestLog};
use super::session::{Access, Now};
pub use restored::RestoredModel;
pub use shares::Owner;
use shares::{Share, Shares};

/// Every session and its models. `M` is the caller's representation of a model.
#[derive(Debug)]
pub struct Registry<M> {
    limits: RegistryLimits,
    sessions: BTreeMap<SessionName, Session<M>>,
    models: usize,
    bytes: usize,
    shares: Shares,
    /// Whether a model exceeds a limit that was lowered.
    is_over: bool,
}

#[derive(Debug)]
struct Session<M> {
    models: BTreeMap<Id, RegisteredModel<M>>,
    /// Number of its datasets.
    datasets: usize,
    /// Bytes of its models.
    bytes: usize,
    requests: RequestLog<Id>,
    /// The CreateSession request that created it, if it has a request id.
    made_by: Option<RequestId>,
    created: SystemTime,
    /// The uptime at the last call.
    used: Duration,
    /// Time without a call before this start, until the first call.
    idle_before: Duration,
    ttl: Duration,
    access: Access,
    /// The number of comparisons with its COMPARE_ONLY models.
    compare_tries: u64,
    /// Whether its record is on disk.
    is_stored: bool,
    /// Whether it is being deleted, so that calls no longer find it.
    is_closing: bool,
    /// Who created it. An address is unknown after a restart, a person is not.
    owner: Option<Owner>,
    /// How long it survives without a call while it has neither a model nor a dataset.
    empty_ttl: Duration,
    /// The damage to its record on disk, if any.
    damage: Option<String>,
}

#[derive(Debug)]
struct RegisteredModel<M> {
    /// `None` while the model is only on disk.
    model: Option<Arc<M>>,
    bytes: usize,
    created: SystemTime,
    /// The limit that the model exceeds.
    over: Option<OverLimit>,
}

/// The place of a new model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The model's name. Its session is created with it if it does not exist and `new_session` is set.
    pub name: ModelName,
    /// Whether to create the session along with the model.
    pub new_session: bool,
    /// The size of the model, in bytes.
    pub bytes: usize,
    /// The request, if it is remembered.
    pub request: Option<RequestId>,
    /// The owner whose share a new session counts against; where it is a person, an existing session has to be theirs.
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
            is_over: false,
        }
    }

    /// The numbers of sessions, of models, and of models in memory.
    pub fn counts(&self) -> (usize, usize, usize) {
        let models = self
            .sessions
            .values()
            .flat_map(|session| session.models.values());
        let resident = models.filter(|held| held.model.is_some()).count();
        (self.sessions.len(), self.models, resident)
    }

    /// The size of all models, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether this request created a model of the session that still exists.
    pub fn has_made(&self, session: &SessionName, request: &RequestId) -> bool {
        let Some(session) = self.sessions.get(session) else {
            return false;
        };
        match session.requests.find(request) {
            Ok(Some(id)) => session.models.contains_key(&id),
            Ok(None) | Err(_) => false,
        }
    }

    /// Checks whether a model can be added, or returns the name of the one that the same request created. Called before
    /// the model is built, so that a refusal costs nothing.
    ///
    /// # Errors
    /// As [`Registry::insert`].
    pub fn check(
        &mut self,
        placement: &Placement,
        now: Now,
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
            self.room_in_share(placement.owner.as_ref(), share)?;
        } else {
            let name = &placement.name;
            let limit = self.limits.models_per_session;
            self.check_owner(&name.session, placement.owner.as_ref())?;
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
            let (held, bytes) = (session.models.len(), session.bytes);
            let owner = session.owner.clone();
            self.room(Quota::ModelsPerSession, held, 1, limit)?;
            self.room_in_session(bytes, placement.bytes)?;
            self.room_in_share(owner.as_ref(), Share::model(placement.bytes))?;
        }
        self.room(Quota::Models, self.models, 1, self.limits.models)?;
        self.room(Quota::Bytes, self.bytes, placement.bytes, self.limits.bytes)?;
        Ok(None)
    }

    /// Adds a model, and its session if that is new; or adds nothing and returns the name of the model that the same
    /// request created.
    ///
    /// # Errors
    /// An unknown session, a taken id, a reused request id, or an exhausted quota.
    pub fn insert(
        &mut self,
        placement: Placement,
        model: Arc<M>,
        now: Now,
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
        let held = RegisteredModel {
            model: Some(model),
            bytes: placement.bytes,
            created: now.date,
            over: None,
        };
        session.models.insert(name.model, held);
        session.bytes += placement.bytes;
        let owner = session.owner.clone();
        self.shares
            .add(owner.as_ref(), Share::model(placement.bytes));
        self.models += 1;
        self.bytes += placement.bytes;
        Ok(None)
    }

    /// Finds a model and renews its session's lease; `None` if the model is not in memory.
    ///
    /// # Errors
    /// No such session or model.
    pub fn model(&mut self, name: &ModelName, now: Now) -> Result<Option<Arc<M>>, RegistryError> {
        Ok(self.held(name, now)?.model.clone())
    }

    /// What is known of a model without a call to it: `None` if there is none, `Some(None)` if it is not in memory. Renews
    /// no lease.
    pub fn peek(&self, name: &ModelName) -> Option<Option<Arc<M>>> {
        let session = self.sessions.get(&name.session)?;
        let held = session.models.get(&name.model)?;
        Some(held.model.clone())
    }

    /// Adds a reloaded model, unless another call has reloaded it first: then that one is used.
    ///
    /// # Errors
    /// The session or model no longer exists.
    pub fn bring_back(
        &mut self,
        name: &ModelName,
        model: Arc<M>,
        now: Now,
    ) -> Result<Arc<M>, RegistryError> {
        let held = self.held(name, now)?;
        Ok(Arc::clone(held.model.get_or_insert(model)))
    }

    /// Evicts unused models of sessions without a call for `idle`, and returns their number. `is_safe` says whether the
    /// disk holds the model's current state.
    pub fn evict(&mut self, idle: Duration, now: Now, is_safe: impl Fn(&M) -> bool) -> usize {
        let mut evicted = 0;
        for session in self.sessions.values_mut() {
            if session.age(now) < idle {
                continue;
            }
            for held in session.models.values_mut() {
                // Every user holds a reference; if this is the last one, the model is unused.
                let is_unused =
                    |model: &mut Arc<M>| Arc::strong_count(model) == 1 && is_safe(model);
                evicted += usize::from(held.model.take_if(is_unused).is_some());
            }
        }
        evicted
    }

    fn held(
        &mut self,
        name: &ModelName,
        now: Now,
    ) -> Result<&mut RegisteredModel<M>, RegistryError> {
        self.renew(&name.session, now)?
            .models
            .get_mut(&name.model)
            .ok_or_else(|| RegistryError::NoModel(name.clone()))
    }

    /// The ids of at most `count` models of a session after `after`, in order. Renews the session's lease.
    ///
    /// # Errors
    /// No such session.
    pub fn models(
        &mut self,
        session: &SessionName,
        after: Option<&Id>,
        count: usize,
        now: Now,
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
    pub fn delete_model(&mut self, name: &ModelName, now: Now) -> Result<(), RegistryError> {
        self.renew(&name.session, now)?;
        self.forget_model(name)
    }

    /// [`Registry::delete_model`] without a call: renews no lease.
    ///
    /// # Errors
    /// No such session or model.
    pub fn forget_model(&mut self, name: &ModelName) -> Result<(), RegistryError> {
        let no_model = || RegistryError::NoModel(name.clone());
        let session = self.sessions.get_mut(&name.session).ok_or_else(no_model)?;
        let held = session.models.remove(&name.model).ok_or_else(no_model)?;
        session.bytes -= held.bytes;
        let owner = session.owner.clone();
        self.shares.take(owner.as_ref(), Share::model(held.bytes));
        self.models -= 1;
        self.bytes -= held.bytes;
        self.find_over_limits();
        Ok(())
    }

    fn renew(&mut self, name: &SessionName, now: Now) -> Result<&mut Session<M>, RegistryError> {
        match self.sessions.get_mut(name) {
            Some(Session {
                damage: Some(reason),
                ..
            }) => Err(RegistryError::SessionDamaged {
                name: name.clone(),
                reason: reason.clone(),
            }),
            Some(session) if session.age(now) < session.life() && !session.is_closing => {
                session.renew(now);
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
