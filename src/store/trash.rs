//! Sessions that expired: moved aside whole, and removed a while later, so that they can be brought back until then.
//!
//! ```text
//! trash/{session}.{number}.{seconds}/     a session's folder, and the uptime that it stays
//! ```
//!
//! The seconds are counted down by the server's uptime and written into the name now and then, so that no date decides
//! what is removed, and time while the server is down does not count.

use std::io;
use std::path::PathBuf;

use super::disk::Disk;
use super::models::ids;
use super::sessions::DELETED;
use super::{SESSIONS, Store, if_there};

pub(super) const TRASH: &str = "trash";

/// A session in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashedSession {
    /// The session's id.
    pub session: String,
    /// Tells sessions of the same id apart; the largest expired last.
    pub number: u32,
    /// The uptime until it is removed, in seconds.
    pub seconds_left: u64,
    folder: PathBuf,
}

impl<D: Disk> Store<D> {
    /// Moves a session and its models to the trash, all at once, for this much uptime. What lay in quarantine of it is
    /// removed.
    ///
    /// # Errors
    /// The session is there, whole, or in the trash.
    pub fn trash_session(&self, session: &str, seconds: u64) -> io::Result<()> {
        self.in_place()?;
        self.forget_marks(session, None)?;
        let trash = self.root.join(TRASH);
        self.disk.create_folder(&trash)?;
        self.disk.sync_folder(&self.root)?;
        let trashed = self.trashed()?.into_iter();
        let last = trashed
            .filter(|other| other.session == session)
            .map(|other| other.number)
            .max();
        let number = last.map_or(0, |last| last.saturating_add(1));
        let to = trash.join(format!("{session}.{number}.{seconds}"));
        if_there(self.disk.rename(&self.folder(session), &to))?;
        self.disk.sync_folder(&trash)?;
        self.disk.sync_folder(&self.root.join(SESSIONS))?;
        self.forget(&format!("{session}."))
    }

    /// Every session in the trash, in the order of their ids. Other names there are left alone.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn trashed(&self) -> io::Result<Vec<TrashedSession>> {
        let trash = self.root.join(TRASH);
        if !self.disk.exists(&trash) {
            return Ok(Vec::new());
        }
        let names = self.disk.folders(&trash)?.into_iter();
        let found = names.filter_map(|name| {
            // No id holds a dot.
            let mut parts = name.split('.');
            let session = parts.next().filter(|session| !session.is_empty())?;
            let (number, seconds) = (parts.next()?, parts.next()?);
            let trashed = TrashedSession {
                session: session.to_owned(),
                number: number.parse().ok()?,
                seconds_left: seconds.parse().ok()?,
                folder: trash.join(&name),
            };
            parts.next().is_none().then_some(trashed)
        });
        Ok(found.collect())
    }

    /// How many models a session in the trash has.
    pub fn models_in_trash(&self, trashed: &TrashedSession) -> usize {
        ids(&self.disk, &trashed.folder).unwrap_or_default().len()
    }

    /// Counts this much uptime, removes what has been in the trash long enough, and tells how many sessions that were.
    ///
    /// # Errors
    /// The rest is there still and is looked at again.
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
            // First out of reach, then removed: what a crash leaves of it is not brought back.
            let to = trash.join(format!("{DELETED}{id}.{number}"));
            self.disk.rename(&session.folder, &to)?;
            removed += 1;
        }
        if !trashed.is_empty() {
            self.disk.sync_folder(&trash)?;
        }
        if self.disk.exists(&trash) {
            for name in self.disk.folders(&trash)? {
                if name.starts_with(DELETED) {
                    self.disk.remove_folder(&trash.join(name))?;
                }
            }
        }
        Ok(removed)
    }

    /// Moves the session of this id that expired last back to where it was; none where the trash has no such session.
    ///
    /// # Errors
    /// There is a session of this id again; the disk refuses.
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
