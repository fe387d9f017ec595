//! Sessions and models from their making to their end: kept, written down late, described, deleted, expired.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status};

use super::convert::request::{page_size, page_token, session_name};
use super::deadline::Deadline;
use super::entry::{ModelEntry, WriteTurn, with_model};
use super::persistence::{NotRead, NotStored, Taken};
use super::{Server, convert, pb, status, telemetry};
use crate::nn::{Scalar, Violations};
use crate::training::{Access, Kept, Model, ModelName, RegistryError, SessionName};

/// What is acknowledged from memory is on disk this much later, and the time that writing takes.
pub const STORE_WITHIN: Duration = Duration::from_millis(500);

impl Server {
    /// Reads a model that left memory.
    ///
    /// # Errors
    /// Its snapshot is damaged; the disk does not read; it was deleted meanwhile.
    pub async fn bring_back(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Status> {
        let remembered = self.config.request_ids_per_model;
        let read = self.persistence.read(name, remembered).await;
        match read {
            Ok(entry) => Ok(self
                .registry()
                .bring_back(name, Arc::new(entry), self.now())?),
            Err(NotRead::Failed) => Err(NotRead::status()),
            Err(NotRead::Lost) => {
                let _ = self.registry().delete_model(name, self.now());
                Err(self.persistence.loss(name).unwrap_or_else(status::internal))
            }
        }
    }

    /// Finds a model to export. That goes for a session whose record is damaged, too: a model's own file says whether it
    /// may be shown.
    ///
    /// # Errors
    /// No such model; one that is for grading only.
    pub async fn open_to_export(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Status> {
        let found = self.registry().model_of_damaged(name);
        let entry = match found {
            Err(_) => return self.open(name).await,
            Ok(Some(entry)) => entry,
            Ok(None) => {
                let remembered = self.config.request_ids_per_model;
                let read = self.persistence.read(name, remembered).await;
                Arc::new(read.map_err(|_| NotRead::status())?)
            }
        };
        match entry.access {
            Access::Full => Ok(entry),
            Access::CompareOnly => Err(status::compare_only()),
        }
    }

    /// Does `work`, which changes what the server keeps, to its end: a caller that leaves before neither interrupts it
    /// nor leaves it half done. Waited for when the server stops.
    pub async fn finish<V: Send + 'static>(
        &self,
        work: impl Future<Output = Result<V, Status>> + Send + 'static,
    ) -> Result<V, Status> {
        let finished = self.tasks.spawn(telemetry::in_this_call(work)).await;
        // The panic hook has logged why there is no result.
        finished.unwrap_or_else(|_| Err(status::internal()))
    }

    /// Removes a session, its models and their files, and tells how many models it had.
    ///
    /// # Errors
    /// No such session; the disk refuses, and then the session is as it was.
    pub async fn delete_session(self: &Arc<Self>, name: &SessionName) -> Result<usize, Status> {
        let (server, name) = (Arc::clone(self), name.clone());
        self.finish(async move { server.remove_session(&name).await })
            .await
    }

    async fn remove_session(self: &Arc<Self>, name: &SessionName) -> Result<usize, Status> {
        // From here on nothing is added to it, and no call finds it.
        let models = self.registry().close_session(name)?;
        for entry in &models {
            entry.deleted.cancel();
        }
        // Held until the name is free, so that nothing is written for it in between.
        let mut turn = None;
        if self.persistence.is_on() {
            let mut turns = Vec::with_capacity(models.len());
            for entry in &models {
                // The last writer is done before the files go, and no other begins.
                turns.push(entry.turn_to_store().await?);
            }
            // A session whose record is being written, or that is being made, is removed after that.
            turn = Some(self.session_turns.take(name).await);
            if let Err(not_stored) = self.persistence.delete_session(name).await {
                let mut registry = self.registry();
                for entry in models {
                    registry.replace_model(&entry.name, Arc::new(entry.revived()));
                }
                registry.reopen_session(name);
                return Err(not_stored.status());
            }
        }
        let (_, count) = self.registry().delete_session(name)?;
        drop(turn);
        Ok(count)
    }

    /// Removes a model and its files.
    ///
    /// # Errors
    /// No such model; the disk refuses, and then the model is as it was.
    pub async fn delete_model(self: &Arc<Self>, name: &ModelName) -> Result<(), Status> {
        let (server, name) = (Arc::clone(self), name.clone());
        self.finish(async move { server.remove_model(&name).await })
            .await
    }

    async fn remove_model(&self, name: &ModelName) -> Result<(), Status> {
        let found = self.registry().model(name, self.now());
        if found.is_err() && self.persistence.is_lost(name) {
            let deleted = self.persistence.delete_model(name).await;
            return deleted.map_err(NotStored::status);
        }
        let entry = match found? {
            Some(entry) => entry,
            // Another call may be reading it from disk, and has to hear of its end.
            None => self.bring_back(name).await?,
        };
        entry.deleted.cancel();
        // The last writer is done before the files go. A second deletion waits for the first one here.
        let _turn = entry.turn_to_store().await?;
        let now = self.registry().model(name, self.now())?;
        if !now.is_some_and(|now| Arc::ptr_eq(&now, &entry)) {
            return Err(RegistryError::NoModel(name.clone()).into());
        }
        if let Err(not_stored) = self.persistence.delete_model(name).await {
            let revived = Arc::new(entry.revived());
            self.registry().replace_model(name, revived);
            return Err(not_stored.status());
        }
        self.registry().delete_model(name, self.now())?;
        Ok(())
    }

    /// Writes down what was done to a model since `before`, as [`super::persistence::Persistence::commit`] does, or takes
    /// it back.
    ///
    /// # Errors
    /// The disk refuses; the model is as it was before.
    pub async fn commit<T: Scalar>(
        self: &Arc<Self>,
        entry: &Arc<ModelEntry>,
        turn: &Arc<WriteTurn>,
        model: &Arc<Model<T>>,
        before: Kept<T>,
        taken: Option<Taken<T>>,
    ) -> Result<(), NotStored> {
        let persistence = &self.persistence;
        let stored = persistence.commit(entry, turn, model, before, taken).await;
        if stored.is_err() {
            // The disk may hold what was taken back: what memory has is written over it as soon as that can be.
            self.store_soon(entry);
        }
        stored
    }

    /// Has what only memory holds of a model written down soon.
    pub fn store_soon(self: &Arc<Self>, entry: &Arc<ModelEntry>) {
        if !entry.note_behind() {
            return;
        }
        let (server, entry) = (Arc::clone(self), Arc::clone(entry));
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    // What is still behind is written down after the last call has ended.
                    () = server.shutdown.cancelled() => return,
                    () = entry.deleted.cancelled() => return,
                    () = tokio::time::sleep(STORE_WITHIN) => {}
                }
                // A run under way sees to it itself, before its end.
                let turn = tokio::select! {
                    biased;
                    () = server.shutdown.cancelled() => return,
                    turn = entry.turn_to_store() => turn,
                };
                let Ok(turn) = turn else { return };
                // A disk that refuses is asked again, until it takes it.
                if server
                    .persistence
                    .catch_up(&entry, Arc::new(turn))
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        });
    }

    /// Waits for what still works for callers, and writes down what was acknowledged from memory.
    pub async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        if self.persistence.is_on() {
            self.file_all().await;
            self.age_trash(Duration::from_secs(1)).await;
            let ages = self.registry().ages(self.now());
            if let Err(not_stored) = self.persistence.put_leases(&ages).await {
                tracing::warn!(
                    ?not_stored,
                    "the next start gives every session its whole lease"
                );
            }
            // Within the last second another process may have changed the manifest.
            self.persistence.check().await;
        }
    }

    /// A page of a session's models.
    pub async fn list_models(
        &self,
        deadline: Deadline,
        request: pb::ListModelsRequest,
    ) -> Result<pb::ListModelsResponse, Status> {
        let mut violations = Violations::new();
        let session = session_name(&request.session, "session", &mut violations);
        let size = page_size(request.page_size, &mut violations);
        let after = page_token(&request.page_token, &mut violations);
        let session = violations.into_result(session)?;
        let now = self.now();
        let mut ids = self
            .registry()
            .models(&session, after.as_ref(), size + 1, now)?;
        let next_page_token = match ids.get(size) {
            Some(_) => ids[size - 1].to_string(),
            None => String::new(),
        };
        ids.truncate(size);
        let mut page = Vec::with_capacity(ids.len());
        for model in ids {
            let session = session.clone();
            match self.find(&ModelName { session, model }).await {
                Ok(entry) => page.push(entry),
                // Deleted since; one that is lost tells so when it is asked for itself.
                Err(status) if matches!(status.code(), Code::NotFound | Code::DataLoss) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(pb::ListModelsResponse {
            models: self.describe(deadline, page).await?,
            next_page_token,
        })
    }

    /// Models as a reply shows them; their digests are computed where they are not known.
    pub async fn describe(
        &self,
        deadline: Deadline,
        entries: Vec<Arc<ModelEntry>>,
    ) -> Result<Vec<pb::Model>, Status> {
        let unknown = entries.iter().filter(|entry| !entry.model.has_digest());
        let parameters =
            |entry: &Arc<ModelEntry>| entry.model.spec().architecture.parameter_count() as u64;
        let work = unknown.map(parameters).sum();
        let veil = self.grading.veil;
        let describe = |turns| async move {
            let mut models = Vec::with_capacity(entries.len());
            for entry in entries {
                let now = with_model!(&entry.model, model => {
                    let committed = model.committed();
                    let digest = committed.digest_in_blocks(model.spec(), &turns).await;
                    (committed.step, digest)
                });
                models.push(convert::model::model_at(&entry, &veil, now));
            }
            models
        };
        Ok(self.compute_in_blocks(deadline, work, describe).await?.0)
    }

    /// One model as a reply shows it.
    pub async fn describe_one(&self, entry: Arc<ModelEntry>) -> Result<pb::Model, Status> {
        let described = self.describe(Deadline::NONE, vec![entry]).await?.pop();
        described.ok_or_else(status::internal)
    }
}
