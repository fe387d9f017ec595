//! New sessions and models: registered, made durable, or taken back.
//!
//! The turn to change a session or a model on disk is taken before others can see it, and kept until it is durable. So a
//! deletion of what is being made waits, and comes after: neither caller hears of a disk that failed when none did.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::Server;
use super::entry::{ModelEntry, WriteTurn, with_model};
use super::session_turns::SessionTurn;
use super::telemetry;
use crate::training::{ModelName, Now, Placement, RegistryError, SessionName};

/// Sessions and models that are made durable at once: as many as keep a disk busy. Beside more of them, runs would get
/// little of the processor.
const AT_ONCE: usize = 4;

/// Of these, those of one connection.
pub const OF_CONNECTION: usize = 1;

/// The turns to make sessions and models.
#[derive(Debug)]
pub struct Makings(Arc<Semaphore>);

/// The turn to make a session or a model; over when dropped.
#[derive(Debug)]
pub struct Making {
    _of_connection: Option<OwnedSemaphorePermit>,
    _of_server: Option<OwnedSemaphorePermit>,
}

impl Default for Makings {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Server {
    /// Waits for the turn to make a session or a model: first come, first served, among the calls of the connection, then
    /// among all.
    pub(super) async fn turn_to_make(&self) -> Making {
        // The semaphores are never closed.
        let of_connection = match telemetry::makings_of_connection() {
            Some(own) => own.acquire_owned().await.ok(),
            None => None,
        };
        let of_server = Arc::clone(&self.makings.0).acquire_owned().await.ok();
        Making {
            _of_connection: of_connection,
            _of_server: of_server,
        }
    }

    /// Adds a new model to its session and makes it durable, or finds the one that the same request made before. A caller
    /// that leaves does not interrupt it.
    ///
    /// # Errors
    /// What the registry refuses; the disk refuses, and then there is no new model.
    pub async fn keep_model(
        self: &Arc<Self>,
        placement: Placement,
        entry: Arc<ModelEntry>,
        now: Now,
    ) -> Result<Arc<ModelEntry>, Status> {
        let server = Arc::clone(self);
        self.finish(async move {
            let _making = server.turn_to_make().await;
            let session = if placement.new_session {
                Some(server.session_turns.take(&placement.name.session).await)
            } else {
                None
            };
            let turn = entry.turn_to_store().await?;
            let made = server
                .registry()
                .insert(placement, Arc::clone(&entry), now)?;
            if let Some(made) = made {
                drop((turn, session));
                return server.keep_made(&made).await;
            }
            server.make_durable(&entry, turn, session).await?;
            Ok(entry)
        })
        .await
    }

    /// The model that the same request made before, durable.
    async fn keep_made(&self, made: &ModelName) -> Result<Arc<ModelEntry>, Status> {
        let made = self.find(made).await?;
        self.keep_new(&made).await?;
        Ok(made)
    }

    /// Makes a model that the same request made before durable, where that is not done. A caller that leaves does not
    /// interrupt it.
    ///
    /// # Errors
    /// The disk refuses, and then there is no such model any more.
    pub async fn keep_found(
        self: &Arc<Self>,
        entry: Arc<ModelEntry>,
    ) -> Result<Arc<ModelEntry>, Status> {
        let server = Arc::clone(self);
        self.finish(async move { server.keep_new(&entry).await.map(|()| entry) })
            .await
    }

    /// Makes a model durable that another call has made, or is making.
    async fn keep_new(&self, entry: &Arc<ModelEntry>) -> Result<(), Status> {
        if !self.persistence.is_on() || entry.durable_step().is_some() {
            return Ok(());
        }
        let (turn, _) = entry.write_turn(&self.config).await?;
        if entry.deleted.is_cancelled() {
            return Err(RegistryError::NoModel(entry.name.clone()).into());
        }
        if entry.durable_step().is_some() {
            return Ok(());
        }
        self.make_durable(entry, turn, None).await
    }

    /// Makes a new model durable, or takes it back; `session` is the turn of its session where that is new, too.
    async fn make_durable(
        &self,
        entry: &Arc<ModelEntry>,
        turn: WriteTurn,
        session: Option<Arc<SessionTurn>>,
    ) -> Result<(), Status> {
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
            let put = with_model!(&entry.model, model => {
                self.persistence.put_new_model(entry, model, turn).await
            });
            kept = put.map_err(super::persistence::NotStored::status);
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

    /// Writes a session's record where that is not done, or takes a new session back.
    ///
    /// # Errors
    /// The disk refuses; the session was deleted meanwhile.
    pub async fn keep_session(&self, name: &SessionName) -> Result<(), Status> {
        if !self.persistence.is_on() {
            return Ok(());
        }
        let turn = self.session_turns.take(name).await;
        self.record_session(name, turn).await
    }

    /// [`Server::keep_session`] for a caller that has the turn.
    ///
    /// # Errors
    /// The same.
    pub async fn record_session(
        &self,
        name: &SessionName,
        turn: Arc<SessionTurn>,
    ) -> Result<(), Status> {
        if !self.persistence.is_on() {
            return Ok(());
        }
        let Some(record) = self.registry().unstored_record(name)? else {
            return Ok(());
        };
        let kept = self.persistence.put_session(name, &record, turn).await;
        let mut registry = self.registry();
        kept.map_err(|not_stored| {
            // A session that holds models already is in use: it stays.
            if registry.all_models(name).is_empty() {
                let _ = registry.delete_session(name);
            }
            not_stored.status()
        })?;
        registry.note_stored(name, &record);
        Ok(())
    }
}
