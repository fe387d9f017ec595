//! Creation of sessions and models: registered, made durable, or rolled back.
//!
//! The turn to change a session or model on disk is taken before the entry becomes visible, and held until it is
//! durable. A concurrent deletion therefore waits for the creation, and neither caller sees a disk failure that did not
//! happen.

use std::sync::Arc;
use std::time::Duration;

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::any_model::with_model;
use crate::host::models::handle::ModelEntry;
use crate::host::models::session_turns::SessionTurn;
use crate::host::models::write_turn::WriteTurn;
use crate::host::refused::{NotStored, Refused};
use crate::host::resource::Resource;
use crate::training::{
    Access, ModelName, Now, Placement, RegistryError, RequestId, SessionInfo, SessionName,
};

/// A session to be created.
struct NewSession {
    name: SessionName,
    ttl: Option<Duration>,
    access: Access,
    request: Option<RequestId>,
}

/// How often a session's record is written over the changes of other nodes.
const REBASES: usize = 8;

impl Host {
    /// Creates a session and makes it durable, or finds the one that the same request created before. It completes even
    /// if the caller leaves.
    ///
    /// # Errors
    /// The registry's refusals; a failed disk write, after which there is no new session.
    pub async fn create_session(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        name: SessionName,
        (ttl, access): (Option<Duration>, Access),
        request: Option<RequestId>,
    ) -> Result<SessionInfo, Refused> {
        let (host, caller) = (Arc::clone(self), Arc::clone(caller));
        self.finish(async move {
            let _creation = host.creation_turns.take(&caller).await;
            let new = NewSession {
                name,
                ttl,
                access,
                request,
            };
            match host.register_session(&caller, &new).await {
                // Another node created it at the same time: now it is there, of this request or of another.
                Err(Refused::NotStored(NotStored::Moved)) => {
                    host.register_session(&caller, &new).await
                }
                created => created,
            }
        })
        .await
    }

    async fn register_session(
        &self,
        caller: &Caller,
        new: &NewSession,
    ) -> Result<SessionInfo, Refused> {
        // Taken before the session becomes visible, so that a deletion waits for the creation.
        let turn = self.session_turns.take(&new.name).await;
        self.sync_session_in_turn(&new.name).await?;
        let now = self.now();
        let session = {
            let (mut registry, owner) = (self.registry(), caller.owner());
            let room = registry.room_for_session(&new.name, owner.as_ref());
            caller.note(|| Resource::Session(new.name.clone()));
            if let Err(RegistryError::NotYours(_)) = room {
                caller.note_foreign();
            }
            room?;
            let (name, request) = (new.name.clone(), new.request.clone());
            let mut session = registry.create_session(name, new.ttl, request, new.access, now)?;
            session.owner = owner.as_ref().and_then(|owner| owner.subject.clone());
            registry.count_for(&session.name, owner);
            session
        };
        self.record_session(&session.name, turn).await?;
        Ok(session)
    }

    /// Adds a new model to its session and makes it durable, or finds the one that the same request created before. It
    /// completes even if the caller leaves.
    ///
    /// # Errors
    /// The registry's refusals; a failed disk write, after which there is no new model.
    pub async fn keep_model(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        placement: Placement,
        entry: Arc<ModelEntry>,
        now: Now,
    ) -> Result<Arc<ModelEntry>, Refused> {
        let (host, caller) = (Arc::clone(self), Arc::clone(caller));
        self.finish(async move {
            let _creation = host.creation_turns.take(&caller).await;
            let session = if placement.new_session {
                Some(host.session_turns.take(&placement.name.session).await)
            } else {
                None
            };
            let turn = entry.turns.persist().await?;
            let (planned, new) = (placement.clone(), Arc::clone(&entry));
            let made = host.registry().insert(placement, new, now)?;
            if let Some(made) = made {
                drop((turn, session));
                return host.keep_made(&made).await;
            }
            match host.make_durable(&entry, turn, session).await {
                Ok(()) => Ok(entry),
                Err(Refused::NotStored(NotStored::Moved)) => {
                    host.made_elsewhere(&planned, now).await
                }
                Err(refused) => Err(refused),
            }
        })
        .await
    }

    /// The model that another node created while this one was about to, if it is that of the same request.
    async fn made_elsewhere(
        &self,
        planned: &Placement,
        now: Now,
    ) -> Result<Arc<ModelEntry>, Refused> {
        self.sync_model(&planned.name).await?;
        let made = self.registry().check(planned, now)?;
        // Gone again: a repeat of the call finds the name free.
        let made = made.ok_or(Refused::NotStored(NotStored::Moved))?;
        self.look_up(&made).await
    }

    /// The model that the same request created before, once it is durable.
    async fn keep_made(&self, made: &ModelName) -> Result<Arc<ModelEntry>, Refused> {
        let made = self.look_up(made).await?;
        self.keep_new(&made).await?;
        Ok(made)
    }

    /// Makes a model that the same request created before durable, unless it is. It completes even if the caller
    /// leaves.
    ///
    /// # Errors
    /// The disk write fails; the model then no longer exists.
    pub async fn keep_found(
        self: &Arc<Self>,
        entry: Arc<ModelEntry>,
    ) -> Result<Arc<ModelEntry>, Refused> {
        let host = Arc::clone(self);
        self.finish(async move { host.keep_new(&entry).await.map(|()| entry) })
            .await
    }

    /// Makes a model durable that another call has created or is creating.
    async fn keep_new(&self, entry: &Arc<ModelEntry>) -> Result<(), Refused> {
        if !self.persistence.is_on() || entry.durable_step().is_some() {
            return Ok(());
        }
        let (turn, _) = entry.turns.change(&entry.name, &self.config).await?;
        if entry.deleted.is_cancelled() {
            return Err(RegistryError::NoModel(entry.name.clone()).into());
        }
        if entry.durable_step().is_some() {
            return Ok(());
        }
        self.make_durable(entry, turn, None).await
    }

    /// Makes a new model durable, or rolls it back; `session` is the turn of its session if that is new, too.
    async fn make_durable(
        &self,
        entry: &Arc<ModelEntry>,
        turn: WriteTurn,
        session: Option<Arc<SessionTurn>>,
    ) -> Result<(), Refused> {
        if !self.persistence.is_on() {
            return Ok(());
        }
        let name = &entry.name.session;
        let is_new = session.is_some();
        let mut kept = match session {
            Some(session) => self.record_session(name, session).await,
            None => self.keep_session(name).await,
        };
        if kept.is_ok() {
            let turn = Arc::new(turn);
            let put = with_model!(entry.model.get(), model => {
                self.persistence.keep_new(entry, &model, turn).await
            });
            kept = put.map_err(Refused::from);
        }
        if kept.is_err() {
            entry.deleted.cancel();
            let mut registry = self.registry();
            let _ = registry.delete_model(&entry.name, self.now());
            if is_new && registry.all_models(name).is_empty() {
                let _ = registry.delete_session(name);
            }
        }
        kept
    }

    /// Writes a session's record unless that is done, or rolls a new session back.
    ///
    /// # Errors
    /// The disk write fails; the session was deleted meanwhile.
    pub async fn keep_session(&self, name: &SessionName) -> Result<(), Refused> {
        if !self.persistence.is_on() {
            return Ok(());
        }
        let turn = self.session_turns.take(name).await;
        self.record_session(name, turn).await
    }

    /// [`Host::keep_session`] for a caller that holds the turn.
    ///
    /// # Errors
    /// As above.
    pub async fn record_session(
        &self,
        name: &SessionName,
        turn: Arc<SessionTurn>,
    ) -> Result<(), Refused> {
        if !self.persistence.is_on() {
            return Ok(());
        }
        let mut rebases = 0;
        let (record, kept) = loop {
            let Some(record) = self.registry().unstored_record(name)? else {
                return Ok(());
            };
            let is_known = self.persistence.knows_session(name);
            let kept = self
                .persistence
                .put_session(name, &record, Arc::clone(&turn))
                .await;
            if kept != Err(NotStored::Moved) || !is_known || rebases == REBASES {
                break (record, kept);
            }
            // Another node has counted comparisons or renewed the lease.
            self.sync_session_in_turn(name).await?;
            rebases += 1;
        };
        let mut registry = self.registry();
        kept.map_err(|not_stored| {
            // A session that already has models is in use and stays.
            if registry.all_models(name).is_empty() {
                let _ = registry.delete_session(name);
            }
            Refused::from(not_stored)
        })?;
        registry.note_stored(name, &record);
        Ok(())
    }
}
