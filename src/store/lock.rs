//! The lock of the data folder: one process holds it, as long as its path still leads to the locked folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{self, Disk as _, Identity, RealDisk};
use super::{StoreError, unusable};

const LOCK: &str = "lock";

/// The lock on a folder.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    identity: Identity,
    /// Held only to keep the lock.
    _file: File,
    _folder: File,
    /// Whether the folder or the lock file was removed or replaced. Another process may have changed the folder
    /// meanwhile, so this is final until the folder is opened again.
    is_lost: AtomicBool,
}

/// The lock on a data folder, for commands that change one without opening it.
#[derive(Debug)]
pub struct FolderLock(#[allow(dead_code, reason = "held, not read")] Lock);

impl FolderLock {
    /// Locks this folder.
    ///
    /// # Errors
    /// Another process holds the lock, or the folder cannot be read or written.
    pub fn take(root: &Path) -> Result<Self, StoreError> {
        Lock::take(root).map(Self)
    }
}

impl Lock {
    /// Locks this folder.
    ///
    /// # Errors
    /// Another process holds the lock, or the folder cannot be read or written.
    pub fn take(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(LOCK);
        let mut options = disk::options();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(&path).map_err(unusable(&path))?;
        try_lock(&file, root).map_err(|error| error.unwrap_or_else(unusable(&path)))?;
        let folder = File::open(root).map_err(unusable(root))?;
        // Locks the folder itself as well, because a removed lock file protects nothing. Not every file system supports
        // this.
        if let Err(Ok(locked)) = try_lock(&folder, root) {
            return Err(locked);
        }
        let identity = RealDisk::default()
            .identity_of(&file)
            .map_err(unusable(&path))?;
        Ok(Self {
            path,
            identity,
            _file: file,
            _folder: folder,
            is_lost: AtomicBool::new(false),
        })
    }

    /// Checks that the folder and its lock file are the locked ones.
    ///
    /// # Errors
    /// One of them was removed or replaced, or cannot be read.
    pub fn check(&self) -> io::Result<()> {
        if !self.is_lost.load(Ordering::Relaxed) {
            let is_other = match RealDisk::default().identity(&self.path) {
                Ok(identity) => identity != self.identity,
                Err(error) if is_gone(&error) => true,
                Err(error) => return Err(error),
            };
            if !is_other {
                return Ok(());
            }
            self.is_lost.store(true, Ordering::Relaxed);
        }
        let message = format!(
            "{} was removed or replaced while the server used its folder: nothing is made durable until the server is \
             started again",
            self.path.display()
        );
        Err(io::Error::other(message))
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Locks a file; fails with `Ok` if another process holds it, with `Err` if locking is impossible.
fn try_lock(file: &File, root: &Path) -> Result<(), Result<StoreError, io::Error>> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Ok(StoreError::Locked(root.to_owned())),
        TryLockError::Error(error) => Err(error),
    })
}
