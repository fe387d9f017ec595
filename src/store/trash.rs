//! The trash: expired sessions are moved here whole and removed later, so that they can be restored until then.
//!
//! ```text
//! trash/{session}.{number}.{seconds}/     a session's folder, and its remaining uptime
//! ```
//!
//! The seconds are counted down by the server's uptime, and the name is updated periodically. Removal thus depends on no
//! date, and downtime does not count.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, EntryKind};
use super::models::ids;
use super::sessions::{DELETED, SESSION_FILE, is_deleted};
use super::{SESSIONS, Store, folder_is_free, if_there, strays};

pub(super) const TRASH: &str = "trash";

/// A session in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashedSession {
    /// The session's id.
    pub session: String,
    /// Distinguishes sessions of the same id; the largest expired last.
    pub number: u32,
    /// Uptime until it is removed, in seconds.
    pub seconds_left: u64,
    folder: PathBuf,
}

impl<D: Disk> Store<D> {
    /// Moves a session with its models to the trash atomically, for this much uptime. Its quarantined files are
    /// removed.
    ///
    /// # Errors
    /// The session is still there, whole, or in the trash.
    pub fn trash_session(&self, session: &str, seconds: u64) -> io::Result<()> {
        self.in_place()?;
        self.forget_marks(session, None)?;
        let trash = self.root.join(TRASH);
        folder_is_free(&self.disk, &trash)?;
        self.disk.create_folder(&trash)?;
        self.disk.sync_folder(&self.root)?;
        // Foreign names count as well, so that none is overwritten.
        let taken = self.disk.entries(&trash)?;
        let taken = taken.iter().filter_map(|entry| read_name(&entry.name));
        let last = taken
            .filter(|(id, ..)| *id == session)
            .map(|(_, number, _)| number)
            .max();
        let number = last.map_or(0, |last| last.saturating_add(1));
        let to = trash.join(format!("{session}.{number}.{seconds}"));
        if_there(self.disk.rename(&self.folder(session), &to))?;
        self.disk.sync_folder(&trash)?;
        self.disk.sync_folder(&self.root.join(SESSIONS))?;
        self.forget(session, None)
    }

    /// The sessions in the trash, sorted by id. Other names there are left alone.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn trashed(&self) -> io::Result<Vec<TrashedSession>> {
        let trash = self.root.join(TRASH);
        if self.disk.kind(&trash) != Some(EntryKind::Folder) {
            return Ok(Vec::new());
        }
        let names = self.disk.folders(&trash)?.into_iter();
        let found = names.filter_map(|name| {
            let (session, number, seconds_left) = read_name(&name)?;
            let folder = trash.join(&name);
            holds_session(&self.disk, &folder).then(|| TrashedSession {
                session: session.to_owned(),
                number,
                seconds_left,
                folder,
            })
        });
        Ok(found.collect())
    }

    /// Number of models of a session in the trash.
    pub fn models_in_trash(&self, trashed: &TrashedSession) -> usize {
        ids(&self.disk, &trashed.folder).unwrap_or_default().len()
    }

    /// Counts down this much uptime, removes the sessions that are due, and returns how many those were.
    ///
    /// # Errors
    /// The rest remains and is retried.
    pub fn age_trash(&self, seconds: u64) -> io::Result<usize> {
        self.in_place()?;
        let trash = self.root.join(TRASH);
        let mut removed = 0;
        let trashed = self.trashed()?;
        for session in &trashed {
            let left = session.seconds_left.saturating_sub(seconds);
            let (id, number) = (&session.session, session.number);
            if left > 0 {
                let to = trash.join(format!("{id}.{number}.{left}"));
                self.disk.rename(&session.folder, &to)?;
                continue;
            }
            // Renamed first, then removed, so that a crash leaves no partial session that could be restored.
            let to = trash.join(format!("{DELETED}{id}.{number}"));
            self.disk.rename(&session.folder, &to)?;
            removed += 1;
        }
        if !trashed.is_empty() {
            self.disk.sync_folder(&trash)?;
        }
        if self.disk.kind(&trash) == Some(EntryKind::Folder) {
            for name in self.disk.folders(&trash)? {
                if is_deleted(&name) {
                    self.disk.remove_folder(&trash.join(name))?;
                }
            }
        }
        Ok(removed)
    }

    /// Restores the session of this id that expired last; `None` if the trash has no such session.
    ///
    /// # Errors
    /// A session of this id exists again; the disk refuses.
    pub fn restore_trashed(&self, session: &str) -> io::Result<Option<TrashedSession>> {
        let trashed = self.trashed()?.into_iter();
        let last = trashed
            .filter(|other| other.session == session)
            .max_by_key(|other| other.number);
        let Some(last) = last else { return Ok(None) };
        let folder = self.folder(session);
        if self.disk.exists(&folder) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.disk.rename(&last.folder, &folder)?;
        self.disk.sync_folder(&self.root.join(SESSIONS))?;
        self.disk.sync_folder(&self.root.join(TRASH))?;
        Ok(Some(last))
    }
}

/// Session, number and seconds in the name of a folder in the trash.
fn read_name(name: &str) -> Option<(&str, u32, u64)> {
    // No id holds a dot.
    let mut parts = name.split('.');
    let (session, number, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && strays::is_id(session);
    is_whole.then_some((session, number.parse().ok()?, seconds.parse().ok()?))
}

/// Whether a folder of this name in the trash is the server's.
pub(super) fn is_ours(disk: &impl Disk, folder: &Path, name: &str) -> bool {
    is_deleted(name) || read_name(name).is_some() && holds_session(disk, folder)
}

/// Whether this folder in the trash is a session, or the remains of one, as opposed to a folder created by hand under
/// such a name.
fn holds_session(disk: &impl Disk, folder: &Path) -> bool {
    disk.kind(&folder.join(SESSION_FILE)) == Some(EntryKind::File)
        || ids(disk, folder).is_ok_and(|ids| !ids.is_empty())
}
