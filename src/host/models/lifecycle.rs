//! Sessions and models from their making to their end: kept, written down late, described, deleted, expired.

use std::sync::Arc;
use std::time::Duration;

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::durability::{NotRead, Taken};
use crate::host::models::any_model::with_model;
use crate::host::models::handle::{ModelEntry, WriteTurn};
use crate::host::refused::NotStored;
use crate::host::refused::Refused;
use crate::nn::{Scalar, WeightsDigest};
use crate::training::{Access, Id, Kept, Model, ModelName, RegistryError, SessionName};

/// What is acknowledged from memory is on disk this much later, and the time that writing takes.
pub const STORE_WITHIN: Duration = Duration::from_millis(500);

/// A model as a reply shows it.
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
    /// Reads a model that left memory.
    ///
    /// # Errors
    /// Its snapshot is damaged; the disk does not read; it was deleted meanwhile.
    pub async fn bring_back(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Refused> {
        let remembered = self.config.request_ids_per_model;
        let read = self.persistence.load(name, remembered).await;
        match read {
            Ok(entry) => Ok(self
                .registry()
                .bring_back(name, Arc::new(entry), self.now())?),
            Err(NotRead::Failed) => Err(Refused::NotRead),
            Err(NotRead::Lost) => {
                let _ = self.registry().delete_model(name, self.now());
                Err(self.persistence.loss(name).unwrap_or(Refused::Bug))
            }
        }
    }

    /// Finds a model to export. That goes for a session whose record is damaged, too: a model's own file says whether it
    /// may be shown.
    ///
    /// # Errors
    /// No such model; one that is for grading only.
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

    /// Does `work`, which changes what the server keeps, to its end: a caller that leaves before neither interrupts it
    /// nor leaves it half done. Waited for when the server stops.
    pub async fn finish<V: Send + 'static>(
        &self,
        work: impl Future<Output = Result<V, Refused>> + Send + 'static,
    ) -> Result<V, Refused> {
        let finished = self.tasks.spawn(work).await;
        // The panic hook has logged why there is no result.
        finished.unwrap_or(Err(Refused::Bug))
    }

    /// Removes a session, its models and their files, and tells how many models it had.
    ///
    /// # Errors
    /// No such session; the disk refuses, and then the session is as it was.
    pub async fn delete_session(self: &Arc<Self>, name: &SessionName) -> Result<usize, Refused> {
        let (host, name) = (Arc::clone(self), name.clone());
        self.finish(async move { host.remove_session(&name).await })
            .await
    }

    async fn remove_session(self: &Arc<Self>, name: &SessionName) -> Result<usize, Refused> {
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
                return Err(not_stored.into());
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
    pub async fn delete_model(
        self: &Arc<Self>,
        caller: &Caller,
        name: &ModelName,
    ) -> Result<(), Refused> {
        caller.note_model(name);
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
            return Err(not_stored.into());
        }
        self.registry().delete_model(name, self.now())?;
        Ok(())
    }

    /// Writes down what was done to a model since `before`, as [`crate::host::durability::Persistence::commit`] does, or takes
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
        let (host, entry) = (Arc::clone(self), Arc::clone(entry));
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    // What is still behind is written down after the last call has ended.
                    () = host.shutdown.cancelled() => return,
                    () = entry.deleted.cancelled() => return,
                    () = tokio::time::sleep(STORE_WITHIN) => {}
                }
                // A run under way sees to it itself, before its end.
                let turn = tokio::select! {
                    biased;
                    () = host.shutdown.cancelled() => return,
                    turn = entry.turn_to_store() => turn,
                };
                let Ok(turn) = turn else { return };
                // A disk that refuses is asked again, until it takes it.
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

    /// The state of models, for a reply; their digests are computed where they are not known.
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
                let (step, digest) = with_model!(&entry.model, model => {
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

    /// A page of a session's models: at most `size` of them after the id `after`, and the id after which the next page
    /// begins, if there is one. Models that are deleted meanwhile or damaged are left out.
    ///
    /// # Errors
    /// No such session; the disk does not read.
    pub async fn page_of_models(
        &self,
        caller: &Caller,
        session: &SessionName,
        after: Option<&Id>,
        size: usize,
    ) -> Result<(Vec<ModelState>, Option<Id>), Refused> {
        let now = self.now();
        let mut ids = self.registry().models(session, after, size + 1, now)?;
        let next = ids.get(size).and_then(|_| ids.get(size - 1).cloned());
        ids.truncate(size);
        let mut page = Vec::with_capacity(ids.len());
        for model in ids {
            let session = session.clone();
            match self.find(caller, &ModelName { session, model }).await {
                Ok(entry) => page.push(entry),
                // Deleted since; one that is lost says so when it is asked for itself.
                Err(refused) if refused.is_missing() => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok((self.describe(caller, page).await?, next))
    }
}
