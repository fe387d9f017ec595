//! The data folder: what is kept over restarts, and when.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::disk_thread::on_disk_thread;
use super::file::write_file;
use super::formats::FORMATS;
use super::group_commit::CommitQueue;
use super::losses::{Losses, lose};
use super::marks::check_mark;
use super::redo_budget::{Taken, redo_work};
use super::restore::{Unusable, restore_model};
use crate::host::models::any_model::with_model;
use crate::host::models::handle::{ModelEntry, WriteTurn};
use crate::host::models::session_turns::SessionTurn;
use crate::host::refused::{NotStored, Refused};
use crate::nn::Scalar;
use crate::store::{Anchor, Storage, Store, StoreError};
use crate::training::session::leases;
use crate::training::{Kept, Model, ModelName, SessionName, SessionRecord};

/// The folder, if there is one, and what could not be read in it.
#[derive(Debug)]
pub struct Persistence {
    pub(super) store: Option<Arc<dyn Storage + Send + Sync>>,
    /// The way into the log.
    pub(super) queue: Option<CommitQueue>,
    /// The work that a start may have with what is in the log.
    pub(super) redo_work: Arc<Semaphore>,
    /// Models whose last commit is damaged, and what became of it.
    pub(super) losses: Arc<Mutex<Losses>>,
}

/// Why a model that was kept cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// The disk does not read now; the log says how.
    Failed,
    /// Its snapshot is damaged.
    Lost,
}

impl Persistence {
    /// Opens the folder, unless `folder` is empty: then nothing is kept. Where the user's data lies, `cli` knows.
    ///
    /// # Errors
    /// The folder is in use, or cannot be read or written.
    pub fn open(folder: &str) -> Result<Self, StoreError> {
        let store: Option<Arc<dyn Storage + Send + Sync>> = match folder {
            "" => None,
            folder => Some(Arc::new(Store::open_checked(Path::new(folder), &FORMATS)?)),
        };
        let queue = store.clone().and_then(CommitQueue::start);
        Ok(Self {
            store,
            queue,
            redo_work: redo_work(),
            losses: Arc::default(),
        })
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.store.is_some()
    }

    /// Reads a model that was kept.
    ///
    /// # Errors
    /// The disk does not read, or the last commit is damaged.
    pub async fn load(
        &self,
        name: &ModelName,
        remembered_requests: usize,
    ) -> Result<ModelEntry, NotRead> {
        let Some(store) = self.store.clone() else {
            return Err(NotRead::Failed);
        };
        let (name, lost) = (name.clone(), Arc::clone(&self.losses));
        let work = move || {
            let (session, model) = (name.session.0.to_string(), name.model.to_string());
            let bytes = store.model(&session, &model).map_err(|error| {
                tracing::error!(%name, %error, "a model cannot be read");
                NotRead::Failed
            })?;
            let restored = restore_model(&bytes, &name, remembered_requests);
            let restored = restored.and_then(|(entry, step)| {
                check_mark(&entry, step, store.mark(&session, &model))
                    .map_err(Unusable::Damaged)?;
                entry.committed(|on_disk| on_disk.filed(step, Anchor::of(&bytes)));
                Ok(entry)
            });
            restored.map_err(|unusable| match unusable {
                Unusable::Damaged(reason) => {
                    lose(&*store, &lost, name, &reason);
                    NotRead::Lost
                }
                Unusable::Format(what) => {
                    tracing::error!(%name, what, "a model cannot be read");
                    NotRead::Failed
                }
            })
        };
        let read = on_disk_thread(work).await;
        read.unwrap_or(Err(NotRead::Failed))
    }

    /// Whether a model was lost.
    pub fn is_lost(&self, name: &ModelName) -> bool {
        self.lost().contains_key(name)
    }

    /// The refusal for a model that was lost, if this one was.
    pub fn loss(&self, name: &ModelName) -> Option<Refused> {
        let message = self.lost().get(name)?.clone();
        let message =
            format!("{message}. DeleteModel removes what is left, so that the name is free again");
        Some(Refused::Lost(message))
    }

    pub(super) fn lost(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a session down. `turn` is the session's, which lasts as long as the writing, even where the caller has left.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn put_session(
        &self,
        name: &SessionName,
        record: &SessionRecord,
        turn: Arc<SessionTurn>,
    ) -> Result<(), NotStored> {
        let session = name.0.to_string();
        let record = record
            .to_bytes(name)
            .map_err(|error| NotStored::of(&error.into()))?;
        self.with_store(move |store| {
            let _turn = turn;
            store.put_session(&session, &record)
        })
        .await
    }

    /// Writes a new model into its file, even if a deletion already waits for it. `turn` is the turn to change the model.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn keep_new<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        model: &Arc<Model<T>>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        let (entry, model) = (Arc::clone(entry), Arc::clone(model));
        self.with_store(move |store| {
            let _turn = turn;
            write_file(store, &entry, &model).map(drop)
        })
        .await
    }

    /// Writes a model into its file, unless it is deleted, and tells what was written, where something was. `turn` is the turn to
    /// change it, which lasts as long as the writing, even where nobody waits for that any more. A run under way may go
    /// on meanwhile.
    ///
    /// # Errors
    /// The disk refuses; the last commit stands.
    pub async fn put_model<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        model: &Arc<Model<T>>,
        turn: Arc<WriteTurn>,
    ) -> Result<Option<Kept<T>>, NotStored> {
        let (entry, model) = (Arc::clone(entry), Arc::clone(model));
        self.with_store(move |store| {
            let _turn = turn;
            if entry.deleted.is_cancelled() {
                return Ok(None);
            }
            write_file(store, &entry, &model).map(Some)
        })
        .await
    }

    /// Writes down what was done to a model since `before`, or takes it back. `turn` is the turn to change it; `taken`
    /// tells how to do it again, if that is known.
    ///
    /// # Errors
    /// The disk refuses; the model is as it was before.
    pub async fn commit<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        turn: &Arc<WriteTurn>,
        model: &Arc<Model<T>>,
        before: Kept<T>,
        taken: Option<Taken<T>>,
    ) -> Result<(), NotStored> {
        if self.log(entry, model, turn, &before, taken).await {
            return Ok(());
        }
        let stored = self.put_model(entry, model, Arc::clone(turn)).await;
        if stored.is_err() {
            model.restore(before);
        }
        stored.map(|_| ())
    }

    /// Puts everything that was acknowledged of a model into its file, where that is not so. `turn` is the turn to change
    /// the model.
    ///
    /// # Errors
    /// The disk refuses; what the log has stays there.
    pub async fn checkpoint(
        &self,
        entry: &Arc<ModelEntry>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        let is_due = entry.is_behind() || entry.is_logged();
        if !self.is_on() || !is_due || entry.deleted.is_cancelled() {
            return Ok(());
        }
        with_model!(&entry.model, model => self.put_model(entry, model, turn).await.map(|_| ()))
    }

    /// Writes down what was acknowledged from memory, if that is not done yet. `turn` is the turn to change the model.
    ///
    /// # Errors
    /// The disk refuses; the model stays as it is.
    pub async fn catch_up(
        &self,
        entry: &Arc<ModelEntry>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        if !self.is_on() || !entry.is_behind() || entry.deleted.is_cancelled() {
            return Ok(());
        }
        with_model!(&entry.model, model => self.put_model(entry, model, turn).await.map(|_| ()))
    }

    /// Removes a model's files, and the memory of its loss.
    ///
    /// # Errors
    /// The disk refuses; trying again is right.
    pub async fn delete_model(&self, name: &ModelName) -> Result<(), NotStored> {
        let (session, model) = (name.session.0.to_string(), name.model.to_string());
        self.with_store(move |store| store.delete_model(&session, &model))
            .await?;
        self.lost().remove(name);
        Ok(())
    }

    /// Removes a session's files.
    ///
    /// # Errors
    /// The disk refuses; trying again is right.
    pub async fn delete_session(&self, name: &SessionName) -> Result<(), NotStored> {
        let session = name.0.to_string();
        self.with_store(move |store| store.delete_session(&session))
            .await?;
        self.lost().retain(|lost, _| lost.session != *name);
        Ok(())
    }

    /// Moves a session's files to the trash, for this much uptime; without any they are removed.
    ///
    /// # Errors
    /// The disk refuses; trying again is right.
    pub async fn trash_session(&self, name: &SessionName, seconds: u64) -> Result<(), NotStored> {
        let session = name.0.to_string();
        self.with_store(move |store| match seconds {
            0 => store.delete_session(&session),
            seconds => store.trash_session(&session, seconds),
        })
        .await?;
        self.lost().retain(|lost, _| lost.session != *name);
        Ok(())
    }

    /// Counts this much uptime for what is in the trash, and tells how many sessions it removed.
    ///
    /// # Errors
    /// The disk refuses; trying again is right.
    pub async fn age_trash(&self, seconds: u64) -> Result<usize, NotStored> {
        self.with_store(move |store| store.age_trash(seconds)).await
    }

    /// Writes down how long each session has been without a call, for the next start.
    ///
    /// # Errors
    /// The disk refuses; then the next start gives every session its whole lease.
    pub async fn put_leases(
        &self,
        ages: &BTreeMap<SessionName, Duration>,
    ) -> Result<(), NotStored> {
        let bytes = leases::encode(ages).map_err(|error| NotStored::of(&error.into()))?;
        self.with_store(move |store| store.put_leases(&bytes)).await
    }

    /// Does `work` on a thread that may block, where there is a store.
    pub(super) async fn with_store<V: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Storage) -> io::Result<V> + Send + 'static,
    ) -> Result<V, NotStored> {
        let Some(store) = self.store.clone() else {
            return Ok(V::default());
        };
        let done = on_disk_thread(move || work(&*store)).await;
        let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|error| NotStored::of(&error))
    }
}
