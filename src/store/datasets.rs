//! The files of datasets, in the folders of their sessions: `{dataset}.dataset.safetensors`. A dataset is written once, by the
//! program that receives it; the store only knows its path.

use std::io;
use std::path::PathBuf;

use super::disk::{Disk, EntryKind};
use super::{Store, file_is_free, folder_is_free, if_there, strays};

pub(super) const DATASET: &str = ".dataset.safetensors";
/// The ending of a dataset that has not arrived whole.
const PARTIAL: &str = ".part";

impl<D: Disk> Store<D> {
    /// The path of a session's dataset.
    pub fn dataset(&self, session: &str, dataset: &str) -> PathBuf {
        self.folder(session).join(format!("{dataset}{DATASET}"))
    }

    /// The path of a new dataset of an existing session. Its file is written beside it, as `{dataset}.dataset.safetensors.….part`,
    /// and then takes this name.
    ///
    /// # Errors
    /// The folder is not in its place, or something else is in the way.
    pub fn new_dataset(&self, session: &str, dataset: &str) -> io::Result<PathBuf> {
        self.in_place()?;
        folder_is_free(&self.disk, &self.folder(session))?;
        let path = self.dataset(session, dataset);
        file_is_free(&self.disk, &path)?;
        Ok(path)
    }

    /// Removes a dataset; a missing one is not an error.
    ///
    /// # Errors
    /// It may or may not be there; retrying is safe.
    pub fn delete_dataset(&self, session: &str, dataset: &str) -> io::Result<()> {
        self.in_place()?;
        let path = self.dataset(session, dataset);
        // Foreign folders and links of this name stay.
        if self.disk.kind(&path) == Some(EntryKind::File) {
            if_there(self.disk.remove_file(&path))?;
        }
        if_there(self.disk.sync_folder(&self.folder(session)))?;
        Ok(())
    }
}

/// The id of the dataset whose file has this name, if it is a dataset's.
pub(super) fn id(name: &str) -> Option<String> {
    let id = name.strip_suffix(DATASET)?;
    strays::is_id(id).then(|| id.to_owned())
}

/// Whether a file of this name is the part of a dataset that had arrived when the server ended.
pub(super) fn is_partial(name: &str) -> bool {
    let whole = name
        .strip_suffix(PARTIAL)
        .and_then(|name| name.rsplit_once('.'));
    whole.is_some_and(|(name, _)| id(name).is_some())
}
