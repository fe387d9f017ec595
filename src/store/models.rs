//! The files of models: read, replaced, removed.

use std::io;
use std::path::Path;

use super::disk::Disk;
use super::record::Anchor;
use super::{Store, TEMPORARY, if_there};

pub(super) const CURRENT: &str = ".safetensors";
pub(super) const PREVIOUS: &str = ".previous.safetensors";

impl<D: Disk> Store<D> {
    /// The last commit of a model in its file, which is its last one unless the log holds a newer one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn model(&self, session: &str, model: &str) -> io::Result<Vec<u8>> {
        let path = self.folder(session).join(format!("{model}{CURRENT}"));
        self.disk.read(&path)
    }

    /// Commits a model into its file, in a session that is there; the file before it is kept, too. What the log holds of
    /// the model counts no more.
    ///
    /// # Errors
    /// The last commit is still there, whole. Where the folder's own fsync failed, the new one may be there instead.
    pub fn put_model(&self, session: &str, model: &str, snapshot: &[u8]) -> io::Result<Anchor> {
        let folder = self.folder(session);
        let previous = folder.join(format!("{model}{PREVIOUS}"));
        self.replace(
            &folder.join(format!("{model}{CURRENT}")),
            Some(&previous),
            snapshot,
        )?;
        Ok(Anchor::of(snapshot))
    }

    /// Removes a model; one that is not there is removed already.
    ///
    /// # Errors
    /// The model may be there or not; removing it again is right.
    pub fn delete_model(&self, session: &str, model: &str) -> io::Result<()> {
        let folder = self.folder(session);
        // The older first: left alone it would be taken for the last commit.
        for name in [PREVIOUS, CURRENT] {
            if_there(
                self.disk
                    .remove_file(&folder.join(format!("{model}{name}"))),
            )?;
            if_there(self.disk.sync_folder(&folder))?;
        }
        self.forget(&format!("{session}.{model}."))
    }
}

/// The ids of the models whose files lie in a session's folder.
pub(super) fn ids(disk: &impl Disk, folder: &Path) -> io::Result<Vec<String>> {
    let names = disk.names(folder)?.into_iter();
    Ok(names
        .filter(|name| !name.ends_with(PREVIOUS))
        .filter_map(|name| Some(name.strip_suffix(CURRENT)?.to_owned()))
        .collect())
}

/// Cleans up after an interrupted commit: removes temporary files, and puts a file back that was moved aside for one that
/// never came.
pub(super) fn clean(disk: &impl Disk, folder: &Path) -> io::Result<()> {
    for name in disk.names(folder)? {
        if name.ends_with(TEMPORARY) {
            disk.remove_file(&folder.join(&name))?;
        } else if let Some(model) = name.strip_suffix(PREVIOUS) {
            let current = folder.join(format!("{model}{CURRENT}"));
            if !disk.exists(&current) {
                disk.rename(&folder.join(&name), &current)?;
                disk.sync_folder(folder)?;
            }
        }
    }
    Ok(())
}
