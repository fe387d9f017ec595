//! How long each session had been without a call at the last orderly shutdown.
//!
//! Startup removes the file when it reads it. After a crash there is none, so every lease restarts, and no session
//! expires early.

use std::io;

use super::disk::Disk;
use super::{Store, if_there};

pub(super) const LEASES: &str = "leases.json";

impl<D: Disk> Store<D> {
    /// Persists the ages of all sessions for the next startup.
    ///
    /// # Errors
    /// The file may or may not be there, which is harmless.
    pub fn put_leases(&self, leases: &[u8]) -> io::Result<()> {
        self.replace(&self.root.join(LEASES), None, leases)
    }

    /// The ages persisted by the last orderly shutdown; handed out once.
    ///
    /// # Errors
    /// The file cannot be read or removed, and must not be used.
    pub fn take_leases(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.root.join(LEASES);
        if !self.disk.exists(&path) {
            return Ok(None);
        }
        let leases = self.disk.read(&path)?;
        if_there(self.disk.remove_file(&path))?;
        self.disk.sync_folder(&self.root)?;
        Ok(Some(leases))
    }
}
