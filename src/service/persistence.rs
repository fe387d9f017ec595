//! What is kept over restarts, and when: a session and a model before CreateSession and CreateModel answer, a model
//! before a run or SetParameters is acknowledged, a deletion before it is.
//!
//! A small model goes into the log that all models share, on a thread that writes down at once whatever has gathered; of a
//! large one what a run did goes there, if that is small. All else, and what the log does not take, goes into the
//! model's file.
//!
//! A commit that fails leaves the model where the last one put it: the caller takes the step back in memory, and has that
//! written as soon as the disk takes it, which may hold either until then. Nothing is poisoned by a failed fsync, since
//! the next commit writes a new file from the start.

mod commit_queue;
mod file;
mod logging;
mod marks;
mod recovery;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use self::commit_queue::CommitQueue;
use self::file::write_file;
pub use self::logging::Taken;
use self::marks::check_mark;
pub use self::marks::note_session;
use self::recovery::{Unusable, lose, restore_model};
use super::entry::{AnyModel, ModelEntry, WriteTurn, with_model};
use super::niceness::give_way;
use super::session_turns::SessionTurn;
use super::status::Refusal;
use crate::nn::Scalar;
use crate::store::{Anchor, Formats, Store, StoreError};
use crate::training::session::leases;
use crate::training::snapshot::{self, About, Restored};
use crate::training::{
    Kept, Model, ModelName, RecordError, SessionName, SessionRecord, names::Id, redo,
};

/// The folder, if there is one, and what could not be read in it.
#[derive(Debug)]
pub struct Persistence {
    store: Option<Arc<Store>>,
    /// The way into the log.
    queue: Option<CommitQueue>,
    /// The work that a start may have with what is in the log.
    redo_work: Arc<Semaphore>,
    /// Models whose last commit is damaged, and what became of it.
    lost: Arc<Mutex<Lost>>,
}

/// The formats that this program knows.
pub const FORMATS: Formats = Formats {
    unknown_model: |start| {
        let version = snapshot::version(start)?;
        let is_known = snapshot::is_known(version) || redo::is_known(version);
        (!is_known).then_some(version)
    },
    is_sound: snapshot::is_sound,
    unknown_session: |bytes, id| {
        let name = SessionName(Id::parse(id)?);
        match SessionRecord::from_bytes(bytes, &name) {
            Err(RecordError::Version(version)) => Some(version),
            Ok(_) | Err(RecordError::Damaged(_)) => None,
        }
    },
};

/// Models that were lost, and what became of each.
type Lost = BTreeMap<ModelName, String>;

/// Why a commit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// The disk or a quota on it is full.
    Full,
    /// Something that is not the server's has the name of a file or a folder of the server's.
    InTheWay,
    /// The disk failed; the log says how.
    Failed,
}

/// Why a model that was kept cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// The disk does not read now; the log says how.
    Failed,
    /// Its snapshot is damaged.
    Lost,
}

impl NotRead {
    /// What the caller is told of a disk that fails.
    pub fn status() -> Status {
        let message = "the disk failed: the model cannot be read now. Send the request again later";
        Refusal::new(Code::Unavailable, "NOT_READ", message)
            .retry()
            .status()
    }
}

impl NotStored {
    fn of(error: &io::Error) -> Self {
        tracing::error!(%error, "a commit failed; nothing of it was acknowledged");
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        let in_the_way = [
            io::ErrorKind::AlreadyExists,
            io::ErrorKind::DirectoryNotEmpty,
            io::ErrorKind::IsADirectory,
            io::ErrorKind::NotADirectory,
        ];
        if full.contains(&error.kind()) {
            Self::Full
        } else if in_the_way.contains(&error.kind()) {
            Self::InTheWay
        } else {
            Self::Failed
        }
    }

    /// What the caller is told.
    pub fn status(self) -> Status {
        let (code, reason, what) = match self {
            Self::Full => (Code::ResourceExhausted, "DISK_FULL", "the disk is full"),
            Self::InTheWay => (
                Code::Unavailable,
                "NOT_STORED",
                "something in the data folder that is not the server's stands in the way (the server's log names it; move \
                 it away)",
            ),
            Self::Failed => (Code::Unavailable, "NOT_STORED", "the disk failed"),
        };
        let message = format!(
            "{what}: the change could not be made durable and was taken back. Reading goes on; send the request again later"
        );
        Refusal::new(code, reason, message).retry().status()
    }
}

impl Persistence {
    /// Opens the folder, unless `folder` is empty: then nothing is kept. Where the user's data lies, `cli` knows.
    ///
    /// # Errors
    /// The folder is in use, or cannot be read or written.
    pub fn open(folder: &str) -> Result<Self, StoreError> {
        let store = match folder {
            "" => None,
            folder => Some(Arc::new(Store::open_checked(Path::new(folder), &FORMATS)?)),
        };
        let queue = store.clone().and_then(CommitQueue::start);
        Ok(Self {
            store,
            queue,
            redo_work: logging::redo_work(),
            lost: Arc::default(),
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
    pub async fn read(
        &self,
        name: &ModelName,
        remembered_requests: usize,
    ) -> Result<ModelEntry, NotRead> {
        let Some(store) = self.store.clone() else {
            return Err(NotRead::Failed);
        };
        let (name, lost) = (name.clone(), Arc::clone(&self.lost));
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
                entry.note_filed(step, Anchor::of(&bytes));
                Ok(entry)
            });
            restored.map_err(|unusable| match unusable {
                Unusable::Damaged(reason) => {
                    lose(&store, &lost, name, &reason);
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
    pub fn loss(&self, name: &ModelName) -> Option<Status> {
        let message = self.lost().get(name)?.clone();
        let message =
            format!("{message}. DeleteModel removes what is left, so that the name is free again");
        Some(Refusal::new(Code::DataLoss, "DATA_LOSS", message).status())
    }

    fn lost(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub async fn put_new_model<T: Scalar>(
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

    /// Puts all of a model into its file, if something of it is in the log alone. `turn` is the turn to change the model.
    ///
    /// # Errors
    /// The disk refuses; the log has it still.
    pub async fn file(
        &self,
        entry: &Arc<ModelEntry>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        if !entry.is_logged() || entry.deleted.is_cancelled() {
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
    async fn with_store<V: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> io::Result<V> + Send + 'static,
    ) -> Result<V, NotStored> {
        let Some(store) = self.store.clone() else {
            return Ok(V::default());
        };
        let done = on_disk_thread(move || work(&store)).await;
        let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|error| NotStored::of(&error))
    }
}

/// `work` on a thread that waits for the disk.
fn on_disk_thread<V: Send + 'static>(work: impl FnOnce() -> V + Send + 'static) -> JoinHandle<V> {
    tokio::task::spawn_blocking(|| {
        give_way();
        work()
    })
}

/// Forgets the type.
pub fn any(restored: Restored) -> AnyModel {
    match restored {
        Restored::F32(model) => AnyModel::F32(Arc::new(model)),
        Restored::F64(model) => AnyModel::F64(Arc::new(model)),
    }
}

/// What is written of a model beside the model itself.
pub fn about(entry: &ModelEntry) -> About {
    About {
        name: entry.name.to_string(),
        created: entry.created,
        updated: entry.updated(),
        access: entry.access,
        made_by: entry.made_by.clone(),
        compare: entry.compare,
    }
}
