//! How long each session had been without a call when the server was stopped in good order.
//!
//! The start that reads the file removes it. So after a crash there is none, every lease starts anew, and no session is
//! ever taken for older than it is.

use std::io;

use super::disk::Disk;
use super::{Store, if_there};

pub(super) const LEASES: &str = "leases.json";

impl<D: Disk> Store<D> {
    /// Writes the ages of all sessions down, for the next start.
    ///
    /// # Errors
    /// The next start finds them or does not, which does no harm.
    pub fn put_leases(&self, leases: &[u8]) -> io::Result<()> {
        self.replace(&self.root.join(LEASES), None, leases)
    }

    /// What the last orderly stop wrote down; once.
    ///
    /// # Errors
    /// The file cannot be read or removed. Then nothing of it may be used.
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
