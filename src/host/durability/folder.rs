//! The data folder: its files, its log, and the models that could not be read from it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::formats::FORMATS;
use super::group_commit::CommitQueue;
use super::losses::{Losses, lose};
use super::marks::check_mark;
use super::redo_budget::redo_work;
use super::restore::{Unusable, restore_model};
use crate::host::disk_thread::on_disk_thread;
use crate::host::metrics::Metrics;
use crate::host::models::handle::ModelEntry;
use crate::host::models::session_turns::SessionTurn;
use crate::host::refused::{NotStored, Refused};
use crate::store::{Anchor, Storage, Store, StoreError};
use crate::training::session::leases;
use crate::training::{Id, ModelName, SessionName, SessionRecord};

/// The open data folder.
#[derive(Debug)]
pub struct Folder {
    pub(super) store: Arc<dyn Storage + Send + Sync>,
    /// The queue into the log; `None` if the operating system could not start its thread.
    pub(super) queue: Option<CommitQueue>,
    /// The remaining budget for replaying the log at startup.
    pub(super) redo_work: Arc<Semaphore>,
    /// Models whose last commit is damaged, each with the message that refusals show.
    pub(super) losses: Arc<Mutex<Losses>>,
}

/// Why a persisted model cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// A disk error; the log has details.
    Failed,
    /// The snapshot is damaged.
    Lost,
    /// Another node has deleted the model.
    Gone,
}

impl Folder {
    /// Opens the folder, whose syncs and errors are counted in `metrics`.
    ///
    /// # Errors
    /// The folder is in use, or cannot be read or written.
    pub fn open(folder: &Path, metrics: &Arc<Metrics>) -> Result<Self, StoreError> {
        let watch = Arc::clone(metrics);
        let store: Arc<dyn Storage + Send + Sync> =
            Arc::new(Store::open_watched(folder, &FORMATS, watch)?);
        Ok(Self {
            queue: CommitQueue::start(Arc::clone(&store)),
            store,
            redo_work: redo_work(),
            losses: Arc::default(),
        })
    }

    /// Reads a model from its file.
    ///
    /// # Errors
    /// A disk error, or the last commit is damaged.
    pub async fn load(
        &self,
        name: &ModelName,
        remembered_requests: usize,
    ) -> Result<ModelEntry, NotRead> {
        let store = Arc::clone(&self.store);
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

    /// The refusal for a lost model; `None` if the model is not lost.
    pub fn loss(&self, name: &ModelName) -> Option<Refused> {
        let message = self.lost().get(name)?.clone();
        let message = format!("{message}. DeleteModel removes the remains and frees the name");
        Some(Refused::Lost(message))
    }

    /// The lost models, each with the message that refusals show.
    pub fn lost(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a session's record. `turn` is the session's and is held until the write is done, even if the caller has
    /// left.
    ///
    /// # Errors
    /// The disk write fails.
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

    /// Removes a model's files and the record of its loss.
    ///
    /// # Errors
    /// The disk refuses; retrying is safe.
    pub async fn delete_model(&self, name: &ModelName) -> Result<(), NotStored> {
        let (session, model) = (name.session.0.to_string(), name.model.to_string());
        self.with_store(move |store| store.delete_model(&session, &model))
            .await?;
        self.lost().remove(name);
        Ok(())
    }

    /// Removes a dataset's file.
    ///
    /// # Errors
    /// The disk refuses; retrying is safe.
    pub async fn delete_dataset(
        &self,
        session: &SessionName,
        dataset: &Id,
    ) -> Result<(), NotStored> {
        let (session, dataset) = (session.0.to_string(), dataset.to_string());
        self.with_store(move |store| store.delete_dataset(&session, &dataset))
            .await
    }

    /// The path at which to create the file of a new dataset.
    ///
    /// # Errors
    /// Something else is in the way.
    pub async fn new_dataset(
        &self,
        session: &SessionName,
        dataset: &Id,
    ) -> Result<PathBuf, NotStored> {
        let (session, dataset) = (session.0.to_string(), dataset.to_string());
        self.with_store(move |store| store.new_dataset(&session, &dataset))
            .await
    }

    /// Removes a session's files.
    ///
    /// # Errors
    /// The disk refuses; retrying is safe.
    pub async fn delete_session(&self, name: &SessionName) -> Result<(), NotStored> {
        let session = name.0.to_string();
        self.with_store(move |store| store.delete_session(&session))
            .await?;
        self.lost().retain(|lost, _| lost.session != *name);
        Ok(())
    }

    /// Moves a session's files to the trash for this much uptime; with zero they are removed.
    ///
    /// # Errors
    /// The disk refuses; retrying is safe.
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

    /// Counts down this much uptime in the trash, and returns how many sessions were removed.
    ///
    /// # Errors
    /// The disk refuses; retrying is safe.
    pub async fn age_trash(&self, seconds: u64) -> Result<usize, NotStored> {
        self.with_store(move |store| store.age_trash(seconds)).await
    }

    /// Persists how long each session has been without a call, for the next startup.
    ///
    /// # Errors
    /// The disk write fails; the next startup then gives every session a full lease.
    pub async fn put_leases(
        &self,
        ages: &BTreeMap<SessionName, Duration>,
    ) -> Result<(), NotStored> {
        let bytes = leases::encode(ages).map_err(|error| NotStored::of(&error.into()))?;
        self.with_store(move |store| store.put_leases(&bytes)).await
    }

    /// Runs `work` on a thread that may block.
    pub(super) async fn with_store<V: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Storage) -> io::Result<V> + Send + 'static,
    ) -> Result<V, NotStored> {
        let store = Arc::clone(&self.store);
        let done = on_disk_thread(move || work(&*store)).await;
        let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|error| NotStored::of(&error))
    }
}
