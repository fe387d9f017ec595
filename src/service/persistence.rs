//! What is kept over restarts, and when: a session and a model before CreateSession and CreateModel answer, a model
//! before a run or SetParameters is acknowledged, a deletion before it is.
//!
//! A commit that fails leaves the model where the last one put it, in memory as on disk: the caller takes the step
//! back. Nothing is poisoned by a failed fsync, since the next commit writes a new file from the start.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tonic::{Code, Status};

use super::entry::{AnyModel, ModelEntry, WriteTurn, with_model};
use super::status::Refusal;
use crate::nn::{ArchitectureLimits, Scalar};
use crate::store::{FoundSession, Store, StoreError};
use crate::training::snapshot::{self, About, Restored};
use crate::training::{
    Id, Kept, Model, ModelName, Placement, Registry, RegistryError, SessionName, SessionRecord,
};

/// The folder, if there is one, and what could not be read in it.
#[derive(Debug)]
pub struct Persistence {
    store: Option<Arc<Store>>,
    /// Models whose last commit is damaged, and what became of it.
    lost: Arc<Mutex<Lost>>,
}

/// Models that were lost, and what became of each.
type Lost = BTreeMap<ModelName, String>;

/// Why a commit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// The disk or a quota on it is full.
    Full,
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
        if full.contains(&error.kind()) {
            Self::Full
        } else {
            Self::Failed
        }
    }

    /// What the caller is told.
    pub fn status(self) -> Status {
        let (code, reason, what) = match self {
            Self::Full => (Code::ResourceExhausted, "DISK_FULL", "the disk is full"),
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
            folder => Some(Arc::new(Store::open(Path::new(folder))?)),
        };
        Ok(Self {
            store,
            lost: Arc::default(),
        })
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.store.is_some()
    }

    /// Puts every session and model that was kept into `registry`. A file that cannot be used costs its model alone.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn load(
        &self,
        registry: &mut Registry<ModelEntry>,
        limits: &ArchitectureLimits,
        remembered_requests: usize,
    ) -> io::Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let now = SystemTime::now();
        for found in store.sessions()? {
            let Some(session) = restore_session(registry, &found, now) else {
                continue;
            };
            for id in &found.models {
                let Some(model) = Id::parse(id) else { continue };
                let name = ModelName {
                    session: session.clone(),
                    model,
                };
                let read = store
                    .model(&found.session, id)
                    .map_err(|error| error.to_string());
                let kept = read
                    .and_then(|bytes| restore_model(&bytes, &name, limits, remembered_requests))
                    .and_then(|entry| {
                        keep_in(registry, entry, now).map_err(|error| error.to_string())
                    });
                if let Err(reason) = kept {
                    lose(store, &self.lost, name, &reason, limits);
                }
            }
        }
        self.remember_losses(store, registry, now)
    }

    /// Models that were lost before this start are lost still, unless somebody has made them anew.
    fn remember_losses(
        &self,
        store: &Store,
        registry: &mut Registry<ModelEntry>,
        now: SystemTime,
    ) -> io::Result<()> {
        for (session, model) in store.quarantined()? {
            let name = ModelName::parse(&format!("sessions/{session}/models/{model}"));
            let Some(name) = name else { continue };
            if registry.model(&name, now).is_err() {
                let message = format!(
                    "the snapshot of {name} could not be used; it lies in the server's `quarantine`"
                );
                self.lost().entry(name).or_insert(message);
            }
        }
        Ok(())
    }

    /// Reads a model that was kept.
    ///
    /// # Errors
    /// The disk does not read, or the last commit is damaged.
    pub async fn read(
        &self,
        name: &ModelName,
        limits: ArchitectureLimits,
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
            restore_model(&bytes, &name, &limits, remembered_requests).map_err(|reason| {
                lose(&store, &lost, name, &reason, &limits);
                NotRead::Lost
            })
        };
        let read = tokio::task::spawn_blocking(work).await;
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

    /// Writes a session down.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn put_session(
        &self,
        name: &SessionName,
        record: &SessionRecord,
    ) -> Result<(), NotStored> {
        let session = name.0.to_string();
        let record = serde_json::to_vec(record).map_err(|error| NotStored::of(&error.into()))?;
        self.with_store(move |store| store.put_session(&session, &record))
            .await
    }

    /// Writes a model down, unless it is deleted, and tells what was written, where something was. `turn` is the turn to
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
            let kept = model.kept();
            let bytes = snapshot::encode(model.spec(), &kept, &about(&entry));
            let bytes = bytes.map_err(io::Error::other)?;
            let name = &entry.name;
            store.put_model(&name.session.0.to_string(), &name.model.to_string(), &bytes)?;
            entry.note_stored(kept.committed.step);
            Ok(Some(kept))
        })
        .await
    }

    /// Writes down what was done to a model since `before`, or takes it back. `turn` is the turn to change it.
    ///
    /// # Errors
    /// The disk refuses; the model is as it was before.
    pub async fn commit<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        turn: &Arc<WriteTurn>,
        model: &Arc<Model<T>>,
        before: Kept<T>,
    ) -> Result<(), NotStored> {
        let stored = self.put_model(entry, model, Arc::clone(turn)).await;
        if stored.is_err() {
            model.restore(before);
        }
        stored.map(|_| ())
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

    /// Does `work` on a thread that may block, where there is a store.
    async fn with_store<V: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> io::Result<V> + Send + 'static,
    ) -> Result<V, NotStored> {
        let Some(store) = self.store.clone() else {
            return Ok(V::default());
        };
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|error| NotStored::of(&error))
    }
}

fn restore_session(
    registry: &mut Registry<ModelEntry>,
    found: &FoundSession,
    now: SystemTime,
) -> Option<SessionName> {
    let restored = (|| {
        let id = Id::parse(&found.session).ok_or("not a session's id")?;
        let record = found.record.as_ref().map_err(ToString::to_string)?;
        let record = serde_json::from_slice(record).map_err(|error| error.to_string())?;
        let name = SessionName(id);
        registry
            .restore_session(name.clone(), record, now)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(name)
    })();
    match restored {
        Ok(name) => Some(name),
        Err(reason) => {
            tracing::error!(session = found.session, reason, "a session cannot be used");
            None
        }
    }
}

/// Notes a model whose last commit cannot be used, and moves the file out of the way.
fn lose(
    store: &Store,
    lost: &Mutex<Lost>,
    name: ModelName,
    reason: &str,
    limits: &ArchitectureLimits,
) {
    let (session, model) = (name.session.0.to_string(), name.model.to_string());
    let what = match store.quarantine(&session, &model) {
        Err(error) => format!("it cannot be moved away ({error})"),
        Ok((last, previous)) => {
            let last = last.display();
            let sound = previous.and_then(|path| {
                let bytes = std::fs::read(&path).ok()?;
                let (restored, _) = snapshot::decode(&bytes, limits, 0).ok()?;
                Some((path, any(restored).step()))
            });
            match sound {
                None => format!("it was moved to {last}; there is no sound commit before it"),
                Some((path, step)) => format!(
                    "it was moved to {last}; the commit before it, of step {step}, is sound: whoever has the server's \
                     disk brings it back with `backpropd import {}`",
                    path.display()
                ),
            }
        }
    };
    let message = format!("the snapshot of {name} cannot be used: {reason}; {what}");
    tracing::error!("{message}");
    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
    lost.insert(name, message);
}

/// The model that was kept under this name.
fn restore_model(
    bytes: &[u8],
    name: &ModelName,
    limits: &ArchitectureLimits,
    remembered_requests: usize,
) -> Result<ModelEntry, String> {
    let (restored, about) =
        snapshot::decode(bytes, limits, remembered_requests).map_err(|error| error.to_string())?;
    if about.name != name.to_string() {
        return Err(format!("it holds {}", about.name));
    }
    let model = any(restored);
    let step = model.step();
    let entry = ModelEntry::new(
        name.clone(),
        model,
        about.access,
        about.made_by,
        about.created,
    );
    entry.touch(about.updated);
    entry.note_stored(step);
    Ok(entry)
}

/// Forgets the type.
pub fn any(restored: Restored) -> AnyModel {
    match restored {
        Restored::F32(model) => AnyModel::F32(Arc::new(model)),
        Restored::F64(model) => AnyModel::F64(Arc::new(model)),
    }
}

fn keep_in(
    registry: &mut Registry<ModelEntry>,
    entry: ModelEntry,
    now: SystemTime,
) -> Result<(), RegistryError> {
    let placement = Placement {
        name: entry.name.clone(),
        new_session: false,
        bytes: entry.model.spec().state_bytes(),
        request: entry.made_by.clone(),
    };
    registry.insert(placement, Arc::new(entry), now).map(|_| ())
}

/// What is written of a model beside the model itself.
pub fn about(entry: &ModelEntry) -> About {
    About {
        name: entry.name.to_string(),
        created: entry.created,
        updated: entry.updated(),
        access: entry.access,
        made_by: entry.made_by.clone(),
    }
}
