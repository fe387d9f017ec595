//! Quarantine: unusable files are moved out of the way, not deleted.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, EntryKind};
use super::models::{CURRENT, PREVIOUS};
use super::{MANIFEST, QUARANTINE, Store, file_is_free, folder_is_free, if_there, log, strays};

impl<D: Disk> Store<D> {
    /// Moves a model's files to quarantine, under free names; returns the new path of the last one and, if there is
    /// one, of the previous one.
    ///
    /// # Errors
    /// The last file is still in its place.
    pub fn quarantine(&self, session: &str, model: &str) -> io::Result<(PathBuf, Option<PathBuf>)> {
        self.in_place()?;
        let folder = self.root.join(QUARANTINE);
        folder_is_free(&self.disk, &folder)?;
        self.disk.create_folder(&folder)?;
        let mut at = 0_u32;
        let target = |at: u32, kind| folder.join(format!("{session}.{model}.{at}{kind}"));
        while self.disk.exists(&target(at, CURRENT)) || self.disk.exists(&target(at, PREVIOUS)) {
            at += 1;
        }
        let from = self.folder(session);
        // The older one first: left alone, it would be taken for the last commit.
        let (previous, current) = (target(at, PREVIOUS), target(at, CURRENT));
        let before = from.join(format!("{model}{PREVIOUS}"));
        let moved = match file_is_free(&self.disk, &before) {
            Ok(()) => if_there(self.disk.rename(&before, &previous))?,
            // A foreign file.
            Err(_) => false,
        };
        let previous = moved.then_some(previous);
        self.disk.sync_folder(&from)?;
        let last = from.join(format!("{model}{CURRENT}"));
        file_is_free(&self.disk, &last)?;
        self.disk.rename(&last, &current)?;
        self.disk.sync_folder(&folder)?;
        self.disk.sync_folder(&from)?;
        Ok((current, previous))
    }

    /// Session and model of every file in quarantine, sorted.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn quarantined(&self) -> io::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for name in self.names_in_quarantine()? {
            if let Some((session, model)) = ids(&name).filter(|_| !name.ends_with(PREVIOUS)) {
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

    /// Removes the quarantined files of a model, or of all models of a session.
    pub(super) fn forget(&self, session: &str, model: Option<&str>) -> io::Result<()> {
        let folder = self.root.join(QUARANTINE);
        for name in self.names_in_quarantine()? {
            let is_of = |(of, id)| of == session && model.is_none_or(|model| id == model);
            if ids(&name).is_some_and(is_of) {
                self.disk.remove_file(&folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// Session and model of a file in quarantine with a name of the form `{session}.{model}.{number}.…`.
fn ids(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_suffix(PREVIOUS);
    let rest = rest.or_else(|| name.strip_suffix(CURRENT))?;
    // No id holds a dot.
    let mut parts = rest.split('.');
    let (session, model, number) = (parts.next()?, parts.next()?, parts.next()?);
    let is_ours = strays::is_id(session) && strays::is_id(model) && number.parse::<u32>().is_ok();
    (is_ours && parts.next().is_none()).then_some((session, model))
}

/// Whether the server gives such names in quarantine: to a model's file, a log segment or a manifest.
pub(super) fn is_ours(name: &str) -> bool {
    let is_numbered = |rest: &str| rest.split('-').all(|number| number.parse::<u64>().is_ok());
    let log = name.strip_prefix("log-");
    let log = log.and_then(|rest| rest.strip_suffix(log::EXTENSION));
    let manifest = name.strip_prefix(MANIFEST);
    let manifest = manifest.and_then(|rest| rest.strip_prefix('-'));
    ids(name).is_some() || log.or(manifest).is_some_and(is_numbered)
}

/// Moves an unusable file to quarantine, under a free name.
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
