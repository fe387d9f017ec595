//! Persistence of sessions, models and datasets: in a data folder, in a store that other nodes share, or not at all.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::folder::{Folder, NotRead};
use crate::host::metrics::Metrics;
use crate::host::models::handle::ModelEntry;
use crate::host::models::session_turns::SessionTurn;
use crate::host::refused::{NotStored, Refused};
use crate::host::shared::SharedStore;
use crate::store::StoreError;
use crate::training::{Id, ModelName, SessionName, SessionRecord};

/// Where sessions, models and datasets are persisted.
#[derive(Debug)]
pub enum Persistence {
    /// Nowhere: they are lost when the server stops.
    Memory,
    /// In the data folder of this server.
    Folder(Box<Folder>),
    /// In a store that this node shares with others.
    Shared(Box<SharedStore>),
}

impl Persistence {
    /// Opens the folder, whose syncs and errors are counted in `metrics`. With an empty `folder` nothing is persisted;
    /// `cli` resolves the default path.
    ///
    /// # Errors
    /// The folder is in use, or cannot be read or written.
    pub fn open(folder: &str, metrics: &Arc<Metrics>) -> Result<Self, StoreError> {
        Ok(match folder {
            "" => Self::Memory,
            folder => Self::Folder(Box::new(Folder::open(Path::new(folder), metrics)?)),
        })
    }

    /// Whether sessions and models are persisted.
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::Memory)
    }

    /// The store that this node shares with others, if it does.
    pub fn shared(&self) -> Option<&SharedStore> {
        match self {
            Self::Shared(shared) => Some(shared),
            Self::Memory | Self::Folder(_) => None,
        }
    }

    /// The data folder, if there is one.
    pub(super) fn folder(&self) -> Option<&Folder> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Memory | Self::Shared(_) => None,
        }
    }

    /// Reads a persisted model.
    ///
    /// # Errors
    /// A disk error, or the last commit is damaged.
    pub async fn load(
        &self,
        name: &ModelName,
        remembered_requests: usize,
    ) -> Result<ModelEntry, NotRead> {
        match self {
            Self::Memory => Err(NotRead::Failed),
            Self::Folder(folder) => folder.load(name, remembered_requests).await,
            Self::Shared(shared) => shared.load(name, remembered_requests).await,
        }
    }

    /// The size of the log, in bytes.
    pub fn log_bytes(&self) -> usize {
        self.folder().map_or(0, |folder| folder.store.log_bytes())
    }

    /// The number of lost models.
    pub fn losses(&self) -> usize {
        self.folder().map_or(0, |folder| folder.lost().len())
    }

    /// The lost models, each with the message that refusals show.
    pub fn lost_models(&self) -> Vec<(ModelName, String)> {
        let Some(folder) = self.folder() else {
            return Vec::new();
        };
        let lost = folder.lost();
        let lost = lost.iter().map(|(name, why)| (name.clone(), why.clone()));
        lost.collect()
    }

    /// Session and model of everything in quarantine.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn quarantined(&self) -> io::Result<Vec<(String, String)>> {
        self.folder()
            .map_or(Ok(Vec::new()), |folder| folder.store.quarantined())
    }

    /// Whether a model is lost.
    pub fn is_lost(&self, name: &ModelName) -> bool {
        self.folder()
            .is_some_and(|folder| folder.lost().contains_key(name))
    }

    /// The refusal for a lost model; `None` if the model is not lost.
    pub fn loss(&self, name: &ModelName) -> Option<Refused> {
        self.folder()?.loss(name)
    }

    /// Writes a session's record. `turn` is the session's and is held until the write is done, even if the caller has
    /// left.
    ///
    /// # Errors
    /// The write fails.
    pub async fn put_session(
        &self,
        name: &SessionName,
        record: &SessionRecord,
        turn: Arc<SessionTurn>,
    ) -> Result<(), NotStored> {
        match self {
            Self::Memory => Ok(()),
            Self::Folder(folder) => folder.put_session(name, record, turn).await,
            Self::Shared(shared) => shared.put_session(name, record).await,
        }
    }

    /// Where sessions and models are stored, in a word; with its address for a shared store, if that may be `shown`.
    pub fn describe(&self, shown: bool) -> String {
        match self {
            Self::Memory => "memory".to_owned(),
            Self::Folder(_) => "folder".to_owned(),
            Self::Shared(shared) if shown => shared.describe().to_owned(),
            Self::Shared(shared) => {
                let address = shared.describe();
                let kind = address.split_once(':').map_or(address, |(kind, _)| kind);
                kind.to_owned()
            }
        }
    }

    /// Whether other nodes may write the record of this session, because it is in a store that they share.
    pub fn knows_session(&self, name: &SessionName) -> bool {
        self.shared().is_some_and(|shared| shared.knows(name))
    }

    /// Removes a model and the record of its loss.
    ///
    /// # Errors
    /// The disk or the store refuses; retrying is safe.
    pub async fn delete_model(&self, name: &ModelName) -> Result<(), NotStored> {
        match self {
            Self::Memory => Ok(()),
            Self::Folder(folder) => folder.delete_model(name).await,
            Self::Shared(shared) => shared.delete_model(name).await,
        }
    }

    /// Removes a dataset.
    ///
    /// # Errors
    /// The disk or the store refuses; retrying is safe.
    pub async fn delete_dataset(
        &self,
        session: &SessionName,
        dataset: &Id,
    ) -> Result<(), NotStored> {
        match self {
            Self::Memory => Ok(()),
            Self::Folder(folder) => folder.delete_dataset(session, dataset).await,
            Self::Shared(shared) => shared.delete_dataset(session, dataset).await,
        }
    }

    /// The path at which to create the file of a new dataset; `None` if nothing is persisted.
    ///
    /// # Errors
    /// Something else is in the way.
    pub async fn new_dataset(
        &self,
        session: &SessionName,
        dataset: &Id,
    ) -> Result<Option<PathBuf>, NotStored> {
        match self {
            Self::Memory => Ok(None),
            Self::Folder(folder) => folder.new_dataset(session, dataset).await.map(Some),
            Self::Shared(shared) => Ok(Some(shared.new_path())),
        }
    }

    /// Removes a session with all that is in it.
    ///
    /// # Errors
    /// The disk or the store refuses; retrying is safe.
    pub async fn delete_session(&self, name: &SessionName) -> Result<(), NotStored> {
        match self {
            Self::Memory => Ok(()),
            Self::Folder(folder) => folder.delete_session(name).await,
            Self::Shared(shared) => shared.delete_session(name).await,
        }
    }

    /// Moves a session's files to the trash for this much uptime; with zero they are removed. A shared store has no trash.
    ///
    /// # Errors
    /// The disk refuses; retrying is safe.
    pub async fn trash_session(&self, name: &SessionName, seconds: u64) -> Result<(), NotStored> {
        match self.folder() {
            Some(folder) => folder.trash_session(name, seconds).await,
            None => Ok(()),
        }
    }

    /// Counts down this much uptime in the trash, and returns how many sessions were removed.
    ///
    /// # Errors
    /// The disk refuses; retrying is safe.
    pub async fn age_trash(&self, seconds: u64) -> Result<usize, NotStored> {
        match self.folder() {
            Some(folder) => folder.age_trash(seconds).await,
            None => Ok(0),
        }
    }

    /// Persists how long each session has been without a call, for the next startup. A shared store has each session's
    /// lease.
    ///
    /// # Errors
    /// The disk write fails; the next startup then gives every session a full lease.
    pub async fn put_leases(
        &self,
        ages: &BTreeMap<SessionName, Duration>,
    ) -> Result<(), NotStored> {
        match self.folder() {
            Some(folder) => folder.put_leases(ages).await,
            None => Ok(()),
        }
    }
}
