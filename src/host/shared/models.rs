//! Models of the shared store: found, looked at again, dropped.

use std::sync::Arc;

use backpropd_bucket::{Generation, Object, Read, Seen};
use tokio::time::Instant;

use super::commit::note_whole;
use super::{SharedCopy, SharedStore, sorted_ids, unknown, unreachable};
use crate::host::Host;
use crate::host::disk_thread::on_disk_thread;
use crate::host::durability::{NotRead, Unusable, restore_model};
use crate::host::models::any_model::ModelScalar;
use crate::host::models::handle::ModelEntry;
use crate::host::refused::{NotStored, Refused};
use crate::training::{
    Begin, BeginError, Id, Model, ModelName, Placement, RequestId, RestoredModel, SessionName,
};

impl Host {
    /// Makes this node's copy of a model and of its session current, if it shares them with other nodes.
    ///
    /// # Errors
    /// The store cannot be reached, and the copy is older than `store_trust_seconds`.
    pub async fn sync_model(&self, name: &ModelName) -> Result<(), Refused> {
        let Some(shared) = self.persistence.shared() else {
            return Ok(());
        };
        self.sync_session(&name.session).await?;
        self.sync_model_of(shared, name, false).await
    }

    /// Makes this node's copies of what has a new model's name, or is of the same request, current.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn sync_placement(&self, placement: &Placement) -> Result<(), Refused> {
        if placement.new_session {
            return Ok(());
        }
        self.sync_model(&placement.name).await
    }

    /// The beginning of a change to a model. A copy that may be out of date is looked at again before a caller is told
    /// that it is at another step.
    ///
    /// # Errors
    /// Those of [`Model::begin`]; the copy is out of date.
    pub async fn begin<T: ModelScalar>(
        &self,
        entry: &ModelEntry,
        model: &Model<T>,
        request: Option<&RequestId>,
        expected_step: Option<i64>,
    ) -> Result<Begin, Refused> {
        let begun = model.begin(request, expected_step);
        if let Err(BeginError::StepMismatch { .. }) = &begun
            && self.persistence.shared().is_some()
        {
            self.sync_model_now(&entry.name).await?;
            if entry.deleted.is_cancelled() {
                return Err(entry.gone());
            }
        }
        Ok(begun?)
    }

    /// [`Host::sync_model`] for a copy of any age.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn sync_model_now(&self, name: &ModelName) -> Result<(), Refused> {
        match self.persistence.shared() {
            Some(shared) => self.sync_model_of(shared, name, true).await,
            None => Ok(()),
        }
    }

    async fn sync_model_of(
        &self,
        shared: &SharedStore,
        name: &ModelName,
        is_forced: bool,
    ) -> Result<(), Refused> {
        let Some(generation) = shared.generation(&name.session) else {
            return Ok(());
        };
        let known = self.registry().peek(name);
        match known {
            // Evicted: the next use reads it.
            Some(None) => Ok(()),
            Some(Some(entry)) if entry.deleted.is_cancelled() => {
                self.forget_model(&entry);
                self.fetch_model(shared, name, generation).await
            }
            Some(Some(entry)) => {
                let mut seen = entry.shared.lock().await;
                if !is_forced && entry.shared.checked().is_fresh(shared.trust) {
                    return Ok(());
                }
                self.look_again(shared, &entry, generation, &mut seen).await
            }
            None => self.fetch_model(shared, name, generation).await,
        }
    }

    /// Compares a model in memory with the store.
    async fn look_again(
        &self,
        shared: &SharedStore,
        entry: &Arc<ModelEntry>,
        generation: Generation,
        seen: &mut Option<Seen>,
    ) -> Result<(), Refused> {
        // A model that is being created has no object yet.
        let Some(before) = &*seen else { return Ok(()) };
        let name = &entry.name;
        let (session, id) = (name.session.0.to_string(), name.model.to_string());
        let sent = Instant::now();
        let read = shared
            .bucket
            .read_model(&session, generation, &id, Some(before));
        let read = shared.within_reach(read).await?;
        match read.map_err(|error| unreachable(&error))? {
            Read::Unchanged => {
                entry.shared.checked().note(sent);
                Ok(())
            }
            Read::Found(object) => {
                shared.note_moved(entry);
                self.forget_model(entry);
                self.adopt_model(name, object, sent).await
            }
            Read::Missing => {
                entry.deleted.cancel();
                self.forget_model(entry);
                Ok(())
            }
        }
    }

    /// Removes this node's copy of a model, unless it was replaced meanwhile.
    fn forget_model(&self, entry: &Arc<ModelEntry>) {
        let mut registry = self.registry();
        let now = registry.peek(&entry.name).flatten();
        if now.is_some_and(|now| Arc::ptr_eq(&now, entry)) {
            self.runs
                .note_evicted(&entry.name, entry.created, &entry.runs);
            // It is there.
            let _ = registry.forget_model(&entry.name);
        }
    }

    /// Reads a model that this node does not know.
    async fn fetch_model(
        &self,
        shared: &SharedStore,
        name: &ModelName,
        generation: Generation,
    ) -> Result<(), Refused> {
        let (session, id) = (name.session.0.to_string(), name.model.to_string());
        let sent = Instant::now();
        let read = shared.bucket.read_model(&session, generation, &id, None);
        let read = shared.within_reach(read).await?;
        match read.map_err(|error| unreachable(&error))? {
            Read::Found(object) => self.adopt_model(name, object, sent).await,
            Read::Unchanged | Read::Missing => Ok(()),
        }
    }

    /// Adds a model as read from the store, unless another call was faster.
    async fn adopt_model(
        &self,
        name: &ModelName,
        object: Object,
        sent: Instant,
    ) -> Result<(), Refused> {
        let remembered = self.config.request_ids_per_model;
        let entry = restored(name, object, sent, remembered).await;
        let mut entry = entry.map_err(|_| Refused::Unreachable)?;
        if let Some(runs) = self.runs.recall(name, entry.created) {
            entry.runs = runs;
        }
        let restored = RestoredModel {
            bytes: entry.model.spec().state_bytes(),
            created: entry.created,
            request: entry.made_by.clone(),
            model: Some(Arc::new(entry)),
        };
        let mut registry = self.registry();
        if registry.peek(name).is_none() {
            registry.restore_model(name, restored);
        }
        Ok(())
    }

    /// The ids of a session's models in the store; `None` if this node shares none.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn shared_models(&self, session: &SessionName) -> Result<Option<Vec<Id>>, Refused> {
        let Some(shared) = self.persistence.shared() else {
            return Ok(None);
        };
        let Some(generation) = shared.generation(session) else {
            return Ok(None);
        };
        let id = session.0.to_string();
        let listed = shared.bucket.list_models(&id, generation).await;
        let listed = listed.map_err(|error| unreachable(&error))?;
        Ok(Some(sorted_ids(&listed)))
    }
}

impl SharedStore {
    /// Reads a model that was evicted from memory.
    ///
    /// # Errors
    /// The store cannot be reached, the model is gone, or it cannot be decoded.
    pub async fn load(
        &self,
        name: &ModelName,
        remembered_requests: usize,
    ) -> Result<ModelEntry, NotRead> {
        let generation = self.generation(&name.session).ok_or(NotRead::Failed)?;
        let (session, id) = (name.session.0.to_string(), name.model.to_string());
        let sent = Instant::now();
        let read = self.bucket.read_model(&session, generation, &id, None);
        let read = self.within_reach(read).await;
        match read.map_err(|_| NotRead::Failed)? {
            Ok(Read::Found(object)) => restored(name, object, sent, remembered_requests).await,
            Ok(Read::Unchanged | Read::Missing) => Err(NotRead::Gone),
            Err(error) => {
                unreachable(&error);
                Err(NotRead::Failed)
            }
        }
    }

    /// Deletes a model.
    ///
    /// # Errors
    /// The store does not answer; retrying is safe.
    pub async fn delete_model(&self, name: &ModelName) -> Result<(), NotStored> {
        let generation = self.generation(&name.session).ok_or(NotStored::Moved)?;
        let (session, id) = (name.session.0.to_string(), name.model.to_string());
        let deleted = self.bucket.delete_model(&session, generation, &id);
        let deleted = self.reached(deleted).await?;
        deleted.map(drop).map_err(|error| unknown(&error))
    }
}

/// Decodes a model from its object.
async fn restored(
    name: &ModelName,
    object: Object,
    sent: Instant,
    remembered_requests: usize,
) -> Result<ModelEntry, NotRead> {
    let Object { bytes, seen, .. } = object;
    let decoded = name.clone();
    let decode = move || restore_model(&bytes, &decoded, remembered_requests);
    let decoded = on_disk_thread(decode).await.map_err(|_| NotRead::Failed)?;
    match decoded {
        Ok((mut entry, step)) => {
            entry.shared = SharedCopy::of(seen, sent);
            note_whole(&entry, step);
            Ok(entry)
        }
        Err(Unusable::Damaged(reason) | Unusable::Format(reason)) => {
            tracing::error!(%name, reason, "a model in the shared store cannot be read");
            Err(NotRead::Failed)
        }
    }
}
