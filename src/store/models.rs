//! The files of models: read, replaced, removed.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use super::disk::{Disk, Entry, EntryKind};
use super::manifest::{Mark, Marks};
use super::record::Anchor;
use super::sessions::SessionContents;
use super::strays::{self, Strays};
use super::{Store, datasets, if_there, without_temporary};

pub(super) const CURRENT: &str = ".safetensors";
pub(super) const PREVIOUS: &str = ".previous.safetensors";

impl<D: Disk> Store<D> {
    /// The commit in a model's file. It is the last one, unless the log has a newer one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn model(&self, session: &str, model: &str) -> io::Result<Vec<u8>> {
        self.in_place()?;
        let path = self.folder(session).join(format!("{model}{CURRENT}"));
        self.disk.read(&path)
    }

    /// Whether a model's file exists for log commits to build on, not behind a link, since startup follows none.
    pub fn has_model(&self, session: &str, model: &str) -> bool {
        let folder = self.folder(session);
        let path = folder.join(format!("{model}{CURRENT}"));
        self.disk.kind(&folder) == Some(EntryKind::Folder)
            && self.disk.kind(&path) == Some(EntryKind::File)
    }

    /// Commits a model to its file in an existing session, and keeps the previous file. This invalidates the log's
    /// commits of the model. `mark` is the commit's position, if known.
    ///
    /// # Errors
    /// The last commit is still there, whole. If the folder's own fsync failed, the new one may be there instead.
    pub fn put_model(
        &self,
        session: &str,
        model: &str,
        snapshot: &[u8],
        mark: Option<Mark>,
    ) -> io::Result<Anchor> {
        let folder = self.folder(session);
        let previous = folder.join(format!("{model}{PREVIOUS}"));
        self.replace(
            &folder.join(format!("{model}{CURRENT}")),
            Some(&previous),
            snapshot,
        )?;
        if let Some(mark) = mark {
            self.note(session, model, mark);
        }
        Ok(Anchor::of(snapshot))
    }

    /// Removes a model's files; missing files are not an error.
    ///
    /// # Errors
    /// The model may or may not be there; retrying is safe.
    pub fn delete_model(&self, session: &str, model: &str) -> io::Result<()> {
        self.in_place()?;
        self.forget_marks(session, Some(model))?;
        let folder = self.folder(session);
        // The older one first: left alone, it would be taken for the last commit.
        for name in [PREVIOUS, CURRENT] {
            let path = folder.join(format!("{model}{name}"));
            // Foreign folders and links of this name stay.
            if self.disk.kind(&path) == Some(EntryKind::File) {
                if_there(self.disk.remove_file(&path))?;
            }
            if_there(self.disk.sync_folder(&folder))?;
        }
        self.forget(session, Some(model))
    }

    /// The ids of the models in a session's folder.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn models(&self, session: &str) -> io::Result<Vec<String>> {
        ids(&self.disk, &self.folder(session))
    }

    /// The manifest's contents at startup, handed out once; `None` if there was no manifest.
    pub fn take_marks(&self) -> Option<Marks> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        self.had_manifest.then(|| std::mem::take(&mut *marks))
    }

    /// The last durable commit of a model, according to the manifest.
    pub fn mark(&self, session: &str, model: &str) -> Option<Mark> {
        self.lock_manifest().mark(session, model)
    }

    /// Records in the manifest that this commit of a model is durable.
    pub fn note(&self, session: &str, model: &str, mark: Mark) {
        let commit = std::iter::once((session, model, mark));
        self.lock_manifest().note(&self.disk, commit);
    }

    /// Removes a model, or all models of a session, from the manifest, durably. Done before the files are removed, so
    /// that deleted models are not reported as lost.
    pub(super) fn forget_marks(&self, session: &str, model: Option<&str>) -> io::Result<()> {
        self.lock_manifest().forget(&self.disk, session, model)?;
        self.sync_manifest()?;
        // If the manifest was replaced meanwhile, the replacement must not bring them back.
        self.lock_manifest().look_and_mend(&self.disk)
    }
}

/// The ids of the models with files in a session's folder.
pub(super) fn ids(disk: &impl Disk, folder: &Path) -> io::Result<Vec<String>> {
    let names = disk.files(folder)?.into_iter();
    Ok(names.filter_map(|name| id(&name)).collect())
}

/// The id of the model whose file has this name, if it is a model's.
fn id(name: &str) -> Option<String> {
    let id = name.strip_suffix(CURRENT)?;
    strays::is_id(id).then(|| id.to_owned())
}

/// Cleans up after an interrupted commit: removes temporary files, and moves the previous file back if its replacement
/// never came.
///
/// Only the manifest knows whether that file is the last commit. Returns the ids of the models and of the datasets.
/// Foreign names are added to `strays`.
pub(super) fn clean(
    disk: &impl Disk,
    folder: &Path,
    entries: &[Entry],
    findings: &mut Vec<String>,
    strays: &mut Strays,
) -> io::Result<SessionContents> {
    let (mut models, mut datasets) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let name = &entry.name;
        let is_ours = strays::is_in_session(name);
        if !is_ours || entry.kind != EntryKind::File {
            strays.add(folder, entry, is_ours.then_some(EntryKind::File));
        } else if without_temporary(name).is_some() || datasets::is_partial(name) {
            disk.remove_file(&folder.join(name))?;
        } else if let Some(model) = name.strip_suffix(PREVIOUS) {
            let current = folder.join(format!("{model}{CURRENT}"));
            if !disk.exists(&current) {
                disk.rename(&folder.join(name), &current)?;
                disk.sync_folder(folder)?;
                models.insert(model.to_owned());
                let current = current.display();
                findings.push(format!(
                    "{current} was missing: the previous commit took its place"
                ));
            }
        } else {
            models.extend(id(name));
            datasets.extend(datasets::id(name));
        }
    }
    Ok(SessionContents {
        models: models.into_iter().collect(),
        datasets: datasets.into_iter().collect(),
    })
}
