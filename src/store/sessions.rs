//! The folders of sessions: list, write, remove.

use std::io;
use std::path::Path;
use std::sync::PoisonError;

use super::disk::{Disk, EntryKind};
use super::models;
use super::strays::{self, Strays};
use super::survey::Survey;
use super::{BARRIER, SESSIONS, Store, folder_is_free, if_there};

pub(super) const SESSION_FILE: &str = "session.json";
/// Prefix of folders that are being deleted. No session id begins with a dot.
pub(super) const DELETED: &str = ".deleted-";

/// A session found in the folder.
#[derive(Debug)]
pub struct FoundSession {
    /// Its id.
    pub session: String,
    /// The session's record, or why it cannot be read.
    pub record: io::Result<Vec<u8>>,
    /// The ids of its models.
    pub models: Vec<String>,
    /// The ids of its datasets.
    pub datasets: Vec<String>,
}

/// The files in a session's folder, by id and sorted.
#[derive(Debug, Default)]
pub(super) struct SessionContents {
    pub models: Vec<String>,
    pub datasets: Vec<String>,
}

impl<D: Disk> Store<D> {
    /// The sessions at startup, sorted by id; handed out once.
    pub fn take_sessions(&self) -> Vec<FoundSession> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = std::mem::take(&mut *found).into_iter();
        found
            .map(|(session, contents)| FoundSession {
                record: self.disk.read(&self.folder(&session).join(SESSION_FILE)),
                models: contents.models,
                datasets: contents.datasets,
                session,
            })
            .collect()
    }

    /// The current sessions, sorted by id.
    ///
    /// # Errors
    /// A folder cannot be listed.
    #[cfg(test)]
    pub fn sessions(&self) -> io::Result<Vec<FoundSession>> {
        let mut found = Vec::new();
        for session in self.disk.folders(&self.root.join(SESSIONS))? {
            if !strays::is_id(&session) {
                continue;
            }
            let folder = self.folder(&session);
            found.push(FoundSession {
                record: self.disk.read(&folder.join(SESSION_FILE)),
                models: models::ids(&self.disk, &folder)?,
                datasets: Vec::new(),
                session,
            });
        }
        Ok(found)
    }

    /// Writes a session's record.
    ///
    /// # Errors
    /// The previous record is still there, whole.
    pub fn put_session(&self, session: &str, record: &[u8]) -> io::Result<()> {
        self.in_place()?;
        let folder = self.folder(session);
        folder_is_free(&self.disk, &folder)?;
        self.disk.create_folder(&folder)?;
        self.disk.sync_folder(&self.root.join(SESSIONS))?;
        self.replace(&folder.join(SESSION_FILE), None, record)
    }

    /// Whether a session's folder exists to commit into.
    pub fn has_session(&self, session: &str) -> bool {
        self.disk.exists(&self.folder(session))
    }

    /// Removes a session with its models atomically.
    ///
    /// # Errors
    /// The session is still there, whole, or its remains are removed when the folder is opened again.
    pub fn delete_session(&self, session: &str) -> io::Result<()> {
        self.in_place()?;
        self.forget_marks(session, None)?;
        let sessions = self.root.join(SESSIONS);
        // Use a free name, so that the remains of a failed removal do not block another.
        let free = (0_u32..)
            .map(|at| sessions.join(format!("{DELETED}{session}.{at}")))
            .find(|path| !self.disk.exists(path));
        let Some(deleted) = free else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        if !if_there(self.disk.rename(&self.folder(session), &deleted))? {
            return Ok(());
        }
        self.disk.sync_folder(&sessions)?;
        self.forget(session, None)?;
        self.disk.remove_folder(&deleted)
    }
}

/// Finishes deletions, and cleans up after interrupted commits. Returns the sessions and their contents. Foreign names
/// are added to `strays`.
pub(super) fn clean(
    disk: &impl Disk,
    sessions: &Path,
    survey: &Survey,
    findings: &mut Vec<String>,
    strays: &mut Strays,
) -> io::Result<Vec<(String, SessionContents)>> {
    if !disk.exists(&sessions.join(BARRIER)) {
        disk.create(&sessions.join(BARRIER))?;
    }
    let mut found = Vec::with_capacity(survey.sessions.len());
    for entry in &survey.entries {
        let folder = sessions.join(&entry.name);
        match entry.kind {
            EntryKind::Folder if is_deleted(&entry.name) => disk.remove_folder(&folder)?,
            EntryKind::Folder if strays::is_id(&entry.name) => {
                let inside = survey.sessions.get(&entry.name);
                let inside = inside.map_or(&[][..], Vec::as_slice);
                let contents = models::clean(disk, &folder, inside, findings, strays)?;
                found.push((entry.name.clone(), contents));
            }
            EntryKind::File if entry.name == BARRIER => {}
            EntryKind::Folder | EntryKind::File | EntryKind::Other => {
                let is_session = strays::is_id(&entry.name);
                strays.add(sessions, entry, is_session.then_some(EntryKind::Folder));
            }
        }
    }
    disk.sync_folder(sessions)?;
    Ok(found)
}

/// Whether a folder of this name is a session whose deletion is unfinished.
pub(super) fn is_deleted(name: &str) -> bool {
    let rest = name.strip_prefix(DELETED).unwrap_or_default();
    rest.split('.').next().is_some_and(strays::is_id)
}
