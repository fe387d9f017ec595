//! Lifecycle of sessions and models: load, persist, describe, delete.

use std::sync::Arc;
use std::time::Duration;

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::durability::{NotRead, ReplayPlan};
use crate::host::models::any_model::with_model;
use crate::host::models::handle::ModelEntry;
use crate::host::models::write_turn::WriteTurn;
use crate::host::refused::{NotStored, Refused};
use crate::nn::{Scalar, WeightsDigest};
use crate::training::{Access, Id, Model, ModelName, RegistryError, Revision, SessionName};

/// Delay before an acknowledgement from memory is persisted, not counting the write itself.
pub const STORE_WITHIN: Duration = Duration::from_millis(500);

/// A model's state for a reply.
#[derive(Clone, Debug)]
pub struct ModelState {
    /// The model.
    pub entry: Arc<ModelEntry>,
    /// Its committed step.
    pub step: u64,
    /// The digest of its weights at that step.
    pub digest: WeightsDigest,
}

impl Host {
    /// Loads an evicted model from disk.
    ///
    /// # Errors
    /// Its snapshot is damaged; the disk cannot be read; it was deleted meanwhile.
    pub async fn reload(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Refused> {
        let remembered = self.config.request_ids_per_model;
        let read = self.persistence.load(name, remembered).await;
        match read {
            Ok(mut entry) => {
                if let Some(runs) = self.runs.recall(name, entry.created) {
                    entry.runs = runs;
                }
                let entry = Arc::new(entry);
                Ok(self.registry().bring_back(name, entry, self.now())?)
            }
            Err(NotRead::Failed) => Err(Refused::NotRead),
            Err(NotRead::Gone) => {
                // Another call may have been faster.
                let _ = self.registry().forget_model(name);
                Err(RegistryError::NoModel(name.clone()).into())
            }
            Err(NotRead::Lost) => {
                let _ = self.registry().delete_model(name, self.now());
                Err(self.persistence.loss(name).unwrap_or(Refused::Bug))
            }
        }
    }

    /// Finds a model to export. Works even if the session's record is damaged, since the model's own file holds its
    /// access.
    ///
    /// # Errors
    /// No such model, or its access is COMPARE_ONLY.
    pub async fn open_to_export(
        &self,
        caller: &Caller,
        name: &ModelName,
    ) -> Result<Arc<ModelEntry>, Refused> {
        let found = self.registry().model_of_damaged(name);
        let entry = match found {
            Err(_) => return self.open(caller, name).await,
            Ok(Some(entry)) => entry,
            Ok(None) => {
                let remembered = self.config.request_ids_per_model;
                let read = self.persistence.load(name, remembered).await;
                Arc::new(read.map_err(|_| Refused::NotRead)?)
            }
        };
        match entry.access {
            Access::Full => Ok(entry),
            Access::CompareOnly => Err(Refused::CompareOnly),
        }
    }

    /// Runs `work`, which changes persistent state, to completion even if the caller leaves. Shutdown waits for it.
    pub async fn finish<V: Send + 'static>(
        &self,
        work: impl Future<Output = Result<V, Refused>> + Send + 'static,
    ) -> Result<V, Refused> {
        let finished = self.tasks.spawn(work).await;
        // The panic hook has logged the cause.
        finished.unwrap_or(Err(Refused::Bug))
    }

    /// Removes a session with its models and files, and returns how many models it had.
    ///
    /// # Errors
    /// No such session; the disk refuses, and the session remains.
    pub async fn delete_session(
        self: &Arc<Self>,
        caller: &Caller,
        name: &SessionName,
    ) -> Result<usize, Refused> {
        self.admit(caller, name).await?;
        self.registry().check_to_delete(name, self.now())?;
        let (host, name) = (Arc::clone(self), name.clone());
        self.finish(async move { host.remove_session(&name).await })
            .await
    }

    async fn remove_session(self: &Arc<Self>, name: &SessionName) -> Result<usize, Refused> {
        // From here on, calls neither find the session nor add to it.
        let models = self.registry().close_session(name)?;
        for entry in &models {
            entry.deleted.cancel();
        }
        // Held until the name is free, so that nothing is written under it in between.
        let mut turn = None;
        if self.persistence.is_on() {
            let mut turns = Vec::with_capacity(models.len());
            for entry in &models {
                // Waits for the last writer before the files are removed, and keeps others out.
                turns.push(entry.turns.persist().await?);
            }
            // A session that is being created, or whose record is being written, is removed afterwards.
            turn = Some(self.session_turns.take(name).await);
            if let Err(not_stored) = self.persistence.delete_session(name).await {
                let mut registry = self.registry();
                for entry in models {
                    registry.replace_model(&entry.name, Arc::new(entry.revived()));
                }
                registry.reopen_session(name);
                return Err(not_stored.into());
            }
        }
        let (_, count) = self.registry().delete_session(name)?;
        self.runs.forget_session(name);
        self.datasets.remove_session(name);
        drop(turn);
        Ok(count)
    }

    /// Removes a model and its files.
    ///
    /// # Errors
    /// No such model; the disk refuses, and the model remains.
    pub async fn delete_model(
        self: &Arc<Self>,
        caller: &Caller,
        name: &ModelName,
    ) -> Result<(), Refused> {
        self.admit_to_model(caller, name).await?;
        self.sync_model(name).await?;
        let (host, name) = (Arc::clone(self), name.clone());
        self.finish(async move { host.remove_model(&name).await })
            .await
    }

    async fn remove_model(&self, name: &ModelName) -> Result<(), Refused> {
        let found = self.registry().model(name, self.now());
        if found.is_err() && self.persistence.is_lost(name) {
            let deleted = self.persistence.delete_model(name).await;
            return deleted.map_err(Refused::from);
        }
        let entry = match found? {
            Some(entry) => entry,
            // Another call may be loading it from disk and must learn of the deletion.
            None => self.reload(name).await?,
        };
        entry.deleted.cancel();
        // Waits for the last writer before the files are removed. A second deletion waits here for the first one.
        let _turn = entry.turns.persist().await?;
        let now = self.registry().model(name, self.now())?;
        if !now.is_some_and(|now| Arc::ptr_eq(&now, &entry)) {
            return Err(RegistryError::NoModel(name.clone()).into());
        }
        if let Err(not_stored) = self.persistence.delete_model(name).await {
            let revived = Arc::new(entry.revived());
            self.registry().replace_model(name, revived);
            return Err(not_stored.into());
        }
        self.registry().delete_model(name, self.now())?;
        self.runs.forget(name);
        Ok(())
    }

    /// Makes the changes to a model since `before` durable, as [`crate::host::durability::Persistence::commit`] does,
    /// or rolls them back.
    ///
    /// # Errors
    /// The disk write fails; the model is in its previous state.
    pub async fn commit<T: Scalar>(
        self: &Arc<Self>,
        entry: &Arc<ModelEntry>,
        turn: &Arc<WriteTurn>,
        model: &Arc<Model<T>>,
        before: Revision<T>,
        replay: Option<ReplayPlan<T>>,
    ) -> Result<(), NotStored> {
        let persistence = &self.persistence;
        let stored = persistence.commit(entry, turn, model, before, replay).await;
        if stored.is_err() {
            // The disk may hold the changes that were rolled back: overwrite it with the state in memory as soon as
            // possible.
            self.store_soon(entry);
        }
        stored
    }

    /// Schedules a write of what only memory has of a model.
    pub fn store_soon(self: &Arc<Self>, entry: &Arc<ModelEntry>) {
        if !entry.note_behind() {
            return;
        }
        let (host, entry) = (Arc::clone(self), Arc::clone(entry));
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    // Shutdown persists the rest after the last call has ended.
                    () = host.shutdown.cancelled() => return,
                    () = entry.deleted.cancelled() => return,
                    () = tokio::time::sleep(STORE_WITHIN) => {}
                }
                // A run in progress persists it itself, before its end.
                let turn = tokio::select! {
                    biased;
                    () = host.shutdown.cancelled() => return,
                    turn = entry.turns.persist() => turn,
                };
                let Ok(turn) = turn else { return };
                // Retries until the disk accepts the write.
                if host
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

    /// Waits for the calls in progress, and persists what was acknowledged from memory.
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
                    "the sessions' ages cannot be saved; the next startup gives every session a full lease"
                );
            }
            // Another process may have changed the manifest since the last check.
            self.persistence.check().await;
        }
    }

    /// The states of models, for a reply; computes digests that are not cached.
    ///
    /// # Errors
    /// A full queue, a panic, the deadline.
    pub async fn describe(
        &self,
        caller: &Caller,
        entries: Vec<Arc<ModelEntry>>,
    ) -> Result<Vec<ModelState>, Refused> {
        let unknown = entries.iter().filter(|entry| !entry.model.has_digest());
        let parameters =
            |entry: &Arc<ModelEntry>| entry.model.spec().architecture.parameter_count() as u64;
        let work = unknown.map(parameters).sum();
        let describe = |turns| async move {
            let mut states = Vec::with_capacity(entries.len());
            for entry in entries {
                let (step, digest) = with_model!(entry.model.get(), model => {
                    let committed = model.committed();
                    let digest = committed.digest_in_blocks(model.spec(), &turns).await;
                    (committed.step, digest)
                });
                states.push(ModelState {
                    entry,
                    step,
                    digest,
                });
            }
            states
        };
        Ok(self.compute_in_blocks(caller, work, describe).await?.0)
    }

    /// The state of one model.
    ///
    /// # Errors
    /// As above.
    pub async fn describe_one(
        &self,
        caller: &Caller,
        entry: Arc<ModelEntry>,
    ) -> Result<ModelState, Refused> {
        let described = self.describe(caller, vec![entry]).await?.pop();
        described.ok_or(Refused::Bug)
    }

    /// The ids of at most `count` models of a session after `after`, in order.
    ///
    /// # Errors
    /// No such session; the store that this node shares with others cannot be reached.
    pub async fn model_ids(
        &self,
        session: &SessionName,
        after: Option<&Id>,
        count: usize,
    ) -> Result<Vec<Id>, Refused> {
        match self.shared_models(session).await? {
            Some(shared) => {
                let later = shared.into_iter().filter(|id| Some(id) > after);
                Ok(later.take(count).collect())
            }
            None => {
                let now = self.now();
                Ok(self.registry().models(session, after, count, now)?)
            }
        }
    }

    /// Returns a page of a session's models: at most `size` of them after the id `after`, and the id after which the
    /// next page begins, if any. Omits models that are damaged or deleted meanwhile.
    ///
    /// # Errors
    /// No such session; the disk cannot be read.
    pub async fn page_of_models(
        &self,
        caller: &Caller,
        session: &SessionName,
        after: Option<&Id>,
        size: usize,
    ) -> Result<(Vec<ModelState>, Option<Id>), Refused> {
        self.admit(caller, session).await?;
        let mut ids = self.model_ids(session, after, size + 1).await?;
        let next = ids.get(size).and_then(|_| ids.get(size - 1).cloned());
        ids.truncate(size);
        let mut page = Vec::with_capacity(ids.len());
        for model in ids {
            let session = session.clone();
            match self.find(caller, &ModelName { session, model }).await {
                Ok(entry) => page.push(entry),
                // Deleted meanwhile, or lost; a request for the model itself reports the loss.
                Err(refused) if refused.is_missing() => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok((self.describe(caller, page).await?, next))
    }
}
