//! The folder in which this process keeps the files of datasets. It goes with the process: what one that was killed has left
//! is removed when the next one starts.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "backpropd-";

/// A file that the process of the folder holds locked as long as it lives.
const LOCK: &str = "in-use";

/// A folder of this process alone.
#[derive(Debug)]
pub(super) struct CacheFolder {
    folder: TempDir,
    _lock: File,
}

impl CacheFolder {
    /// Creates a folder in this one.
    ///
    /// # Errors
    /// It does not exist, or cannot be written.
    pub fn create(within: &Path) -> io::Result<Self> {
        remove_abandoned(within);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(within)?;
        // The file gets its name when it is locked: at no time another process finds it free.
        let new = folder.path().join("new");
        let lock = File::create(&new)?;
        lock.lock()?;
        fs::rename(new, folder.path().join(LOCK))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of processes that have ended without doing so.
fn remove_abandoned(within: &Path) {
    let Ok(entries) = fs::read_dir(within) else {
        return;
    };
    for entry in entries.flatten() {
        let is_one = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let path = entry.path();
        let lock = File::open(path.join(LOCK)).ok().filter(|_| is_one);
        if lock.is_none_or(|lock| lock.try_lock().is_err()) {
            continue;
        }
        match fs::remove_dir_all(&path) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "removed what a killed process has left")
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a folder of a killed process cannot be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_nothing_else() {
        let cache = tempfile::tempdir().expect("a folder");
        let within = cache.path();
        let left = cache.path().join("backpropd-left");
        let other = cache.path().join("backpropd-of-another-program");
        for folder in [&left, &other] {
            fs::create_dir(folder).expect("a folder");
            fs::write(folder.join("1.dataset.safetensors"), "rows").expect("a file");
        }
        // A lock ends with its process, the file does not.
        fs::write(left.join(LOCK), "").expect("a file");
        let first = CacheFolder::create(within).expect("a folder");
        let second = CacheFolder::create(within).expect("a folder");
        assert!(!left.exists());
        assert!(other.exists());
        assert!(first.path().exists(), "its process lives");
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }
}
