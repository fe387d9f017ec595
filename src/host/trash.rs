//! The trash of expired sessions, for the operator's commands: list them, restore one. The server must not be running.

use std::io;
use std::path::Path;

use crate::host::durability::{FORMATS, note_session};
use crate::store::{Store, StoreError};

/// A session in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashEntry {
    /// Its id.
    pub session: String,
    /// Number of models in it.
    pub models: usize,
    /// Uptime until it is removed, in seconds.
    pub seconds_left: u64,
}

/// Why a trash command failed.
#[derive(Debug, thiserror::Error)]
pub enum TrashError {
    /// The folder cannot be opened; a server may be running on it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trash has no session of this id.
    #[error("the trash has no session {0}; `backpropd trash list` shows its sessions")]
    NoSession(String),
    /// A live session has this id.
    #[error(
        "a new session {0} exists: delete it first (DeleteSession), after exporting models that you want to keep"
    )]
    Taken(String),
    /// Reading or writing the folder failed.
    #[error("cannot use {folder}: {source}")]
    Disk {
        /// The data folder.
        folder: String,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
}

/// Lists the sessions in the trash of this data folder.
///
/// # Errors
/// The folder is in use or cannot be read.
pub fn list(folder: &str) -> Result<Vec<TrashEntry>, TrashError> {
    let store = open(folder)?;
    let trashed = store.trashed().map_err(disk(folder))?.into_iter();
    let trashed = trashed.map(|trashed| TrashEntry {
        models: store.models_in_trash(&trashed),
        session: trashed.session,
        seconds_left: trashed.seconds_left,
    });
    Ok(trashed.collect())
}

/// Restores the session of this id that expired last.
///
/// # Errors
/// The trash has no such session; its id is taken; the folder is in use or cannot be written.
pub fn restore(folder: &str, session: &str) -> Result<(), TrashError> {
    let store = open(folder)?;
    match store.restore_trashed(session) {
        Ok(Some(_)) => note_session(&store, session).map_err(disk(folder)),
        Ok(None) => Err(TrashError::NoSession(session.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(TrashError::Taken(session.to_owned()))
        }
        Err(error) => Err(disk(folder)(error)),
    }
}

fn open(folder: &str) -> Result<Store, StoreError> {
    Store::open_checked(Path::new(folder), &FORMATS)
}

fn disk(folder: &str) -> impl Fn(io::Error) -> TrashError {
    let folder = folder.to_owned();
    move |source| TrashError::Disk {
        folder: folder.clone(),
        source,
    }
}
