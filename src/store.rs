//! Snapshots on disk: a folder for each session, a file for each model in it.
//!
//! ```text
//! lock                              held by the process that uses the folder
//! sessions/{session}/session.json
//! sessions/{session}/{model}.safetensors            the last commit
//! sessions/{session}/{model}.previous.safetensors   the one before
//! log/                              newer commits, until they are in the models' files (see `log`)
//! quarantine/                       files that could not be read, each under a name of its own
//! ```
//!
//! A commit to a file is a temporary file in the same folder, fsync, rename, fsync of the folder: whenever the process or the
//! machine stops, the file is the old or the new one, whole. What the bytes mean is the caller's business; ids are
//! lower-case letters, digits and hyphens, so that they are file names everywhere.

mod commits;
mod disk;
mod log;
mod models;
mod quarantine;
mod record;
mod sessions;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use disk::{Disk, RealDisk};
use log::{Log, Recovered};

pub use log::{Logged, SEGMENT_BYTES, Segment};
pub use record::{Anchor, Kind, Record};
pub use sessions::FoundSession;

const SESSIONS: &str = "sessions";
const LOG: &str = "log";
const QUARANTINE: &str = "quarantine";
const TEMPORARY: &str = ".tmp";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process uses it.
    #[error("{0} is in use by another process; stop that one, or choose another folder")]
    Locked(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use {path}: {source}")]
    Unusable {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The folder, locked against other processes for as long as this lives.
#[derive(Debug)]
pub struct Store<D: Disk = RealDisk> {
    root: PathBuf,
    disk: D,
    log: Mutex<Log<D::File>>,
    /// What the log held when it was opened and nobody has asked for yet.
    recovered: Mutex<Recovered>,
    /// Held, not used.
    _lock: Option<File>,
}

impl Store {
    /// Opens the folder, makes it where there is none, and removes what an interrupted commit or deletion left.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be read or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Unusable { path, source }
        };
        let sessions = root.join(SESSIONS);
        RealDisk
            .create_folder(&sessions)
            .map_err(unusable(&sessions))?;
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(unusable(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(&path)(error)),
        }
        Self::on(RealDisk, root, Some(lock)).map_err(unusable(root))
    }
}

impl<D: Disk> Store<D> {
    fn on(disk: D, root: &Path, lock: Option<File>) -> io::Result<Self> {
        sessions::clean(&disk, &root.join(SESSIONS))?;
        let anchor = |session: &str, model: &str| {
            let folder = root.join(SESSIONS).join(session);
            match disk.read(&folder.join(format!("{model}{}", models::CURRENT))) {
                Ok(file) => Ok(Some(Anchor::of(&file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                // Taken for no file, it would make void what was acknowledged after it.
                Err(error) => Err(error),
            }
        };
        let (log, recovered) = Log::open(&disk, &root.join(LOG), &root.join(QUARANTINE), anchor)?;
        Ok(Self {
            root: root.to_owned(),
            disk,
            log: Mutex::new(log),
            recovered: Mutex::new(recovered),
            _lock: lock,
        })
    }

    fn folder(&self, session: &str) -> PathBuf {
        self.root.join(SESSIONS).join(session)
    }

    /// Writes `bytes` to `path` so that it holds the old or the new content, whole, whatever happens. The old content
    /// goes to `aside` where that is given.
    fn replace(&self, path: &Path, aside: Option<&Path>, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(TEMPORARY);
        let temporary = PathBuf::from(temporary);
        let written = self.write_through(&temporary, bytes);
        if written.is_err() {
            // Whatever it takes up is needed more elsewhere; a leftover goes when the folder is opened again.
            let _ = self.disk.remove_file(&temporary);
            return written;
        }
        if let Some(aside) = aside {
            if_there(self.disk.rename(path, aside))?;
        }
        self.disk.rename(&temporary, path)?;
        match path.parent() {
            Some(folder) => self.disk.sync_folder(folder),
            None => Ok(()),
        }
    }

    fn write_through(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(path)?;
        self.disk.write(&mut file, bytes)?;
        self.disk.sync_file(&file)
    }
}

/// Whether something was there to be worked on; that nothing was is no error.
fn if_there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

#[cfg(test)]
mod tests;
