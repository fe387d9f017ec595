//! Files that cannot be used, moved out of the way and kept.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, EntryKind};
use super::models::{CURRENT, PREVIOUS};
use super::{QUARANTINE, Store, if_there};

impl<D: Disk> Store<D> {
    /// Moves a model's commits out of the way, to names that are free, and returns where the last one is now, and where
    /// the one before it is, if there was one.
    ///
    /// # Errors
    /// The last one is still where it was.
    pub fn quarantine(&self, session: &str, model: &str) -> io::Result<(PathBuf, Option<PathBuf>)> {
        self.in_place()?;
        let folder = self.root.join(QUARANTINE);
        self.disk.create_folder(&folder)?;
        let mut at = 0_u32;
        let target = |at: u32, kind| folder.join(format!("{session}.{model}.{at}{kind}"));
        while self.disk.exists(&target(at, CURRENT)) || self.disk.exists(&target(at, PREVIOUS)) {
            at += 1;
        }
        let from = self.folder(session);
        // The older first: left alone it would be taken for the last commit.
        let (previous, current) = (target(at, PREVIOUS), target(at, CURRENT));
        let moved = self
            .disk
            .rename(&from.join(format!("{model}{PREVIOUS}")), &previous);
        let previous = if_there(moved)?.then_some(previous);
        self.disk.sync_folder(&from)?;
        self.disk
            .rename(&from.join(format!("{model}{CURRENT}")), &current)?;
        self.disk.sync_folder(&folder)?;
        self.disk.sync_folder(&from)?;
        Ok((current, previous))
    }

    /// Session and model of every file that was moved out of the way, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn quarantined(&self) -> io::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for name in self.names_in_quarantine()? {
            // No id holds a dot.
            if let [session, model, _number, _kind] = name.split('.').collect::<Vec<_>>()[..] {
                found.push((session.to_owned(), model.to_owned()));
            }
        }
        Ok(found)
    }

    fn names_in_quarantine(&self) -> io::Result<Vec<String>> {
        let folder = self.root.join(QUARANTINE);
        if self.disk.kind(&folder) == Some(EntryKind::Folder) {
            self.disk.files(&folder)
        } else {
            Ok(Vec::new())
        }
    }

    /// Removes what was moved out of the way and begins with these ids.
    pub(super) fn forget(&self, ids: &str) -> io::Result<()> {
        let folder = self.root.join(QUARANTINE);
        for name in self.names_in_quarantine()? {
            if name.starts_with(ids) {
                self.disk.remove_file(&folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// Moves a file that cannot be used into quarantine, to a name that is free.
pub(super) fn set_aside(disk: &impl Disk, path: &Path, quarantine: &Path) -> io::Result<PathBuf> {
    disk.create_folder(quarantine)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut at = 0_u32;
    let target = |at: u32| quarantine.join(format!("{name}-{at}"));
    while disk.exists(&target(at)) {
        at += 1;
    }
    disk.rename(path, &target(at))?;
    Ok(target(at))
}
