//! Snapshots on disk: a folder for each session, a file for each model in it.
//!
//! ```text
//! lock                              held by the process that uses the folder
//! sessions/{session}/session.json
//! sessions/{session}/{model}.safetensors            the last commit
//! sessions/{session}/{model}.previous.safetensors   the one before
//! log/                              newer commits, until they are in the models' files (see `log`)
//! quarantine/                       files that could not be read, each under a name of its own
//! ```
//!
//! A commit to a file is a temporary file in the same folder, fsync, rename, fsync of the folder: whenever the process or the
//! machine stops, the file is the old or the new one, whole. What the bytes mean is the caller's business; ids are
//! lower-case letters, digits and hyphens, so that they are file names everywhere.

mod disk;
mod log;
mod record;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use disk::{Disk, RealDisk};
use log::{Log, Recovered};

pub use log::{Logged, SEGMENT_BYTES, Segment};
pub use record::{Anchor, Kind, Record};

const SESSIONS: &str = "sessions";
const LOG: &str = "log";
const QUARANTINE: &str = "quarantine";
const SESSION_FILE: &str = "session.json";
const CURRENT: &str = ".safetensors";
const PREVIOUS: &str = ".previous.safetensors";
const TEMPORARY: &str = ".tmp";
/// No id begins with a dot, so that a folder of this name is no session.
const DELETED: &str = ".deleted-";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process uses it.
    #[error("{0} is in use by another process; stop that one, or choose another folder")]
    Locked(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use {path}: {source}")]
    Unusable {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The folder, locked against other processes for as long as this lives.
#[derive(Debug)]
pub struct Store<D: Disk = RealDisk> {
    root: PathBuf,
    disk: D,
    log: Mutex<Log<D::File>>,
    /// What the log held when it was opened and nobody has asked for yet.
    recovered: Mutex<Recovered>,
    /// Held, not used.
    _lock: Option<File>,
}

/// A session as it was found.
#[derive(Debug)]
pub struct FoundSession {
    /// Its id.
    pub session: String,
    /// What was written of it, if that can be read.
    pub record: io::Result<Vec<u8>>,
    /// The ids of its models.
    pub models: Vec<String>,
}

impl Store {
    /// Opens the folder, makes it where there is none, and removes what an interrupted commit or deletion left.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be read or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Unusable { path, source }
        };
        let sessions = root.join(SESSIONS);
        RealDisk
            .create_folder(&sessions)
            .map_err(unusable(&sessions))?;
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(unusable(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(&path)(error)),
        }
        Self::on(RealDisk, root, Some(lock)).map_err(unusable(root))
    }
}

impl<D: Disk> Store<D> {
    fn on(disk: D, root: &Path, lock: Option<File>) -> io::Result<Self> {
        clean(&disk, &root.join(SESSIONS))?;
        let anchor = |session: &str, model: &str| {
            let folder = root.join(SESSIONS).join(session);
            match disk.read(&folder.join(format!("{model}{CURRENT}"))) {
                Ok(file) => Ok(Some(Anchor::of(&file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                // Taken for no file, it would make void what was acknowledged after it.
                Err(error) => Err(error),
            }
        };
        let (log, recovered) = Log::open(&disk, &root.join(LOG), &root.join(QUARANTINE), anchor)?;
        Ok(Self {
            root: root.to_owned(),
            disk,
            log: Mutex::new(log),
            recovered: Mutex::new(recovered),
            _lock: lock,
        })
    }

    /// Every session, in the order of their ids.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn sessions(&self) -> io::Result<Vec<FoundSession>> {
        let mut found = Vec::new();
        for session in self.disk.names(&self.root.join(SESSIONS))? {
            let folder = self.folder(&session);
            let models = self
                .disk
                .names(&folder)?
                .into_iter()
                .filter(|name| !name.ends_with(PREVIOUS))
                .filter_map(|name| Some(name.strip_suffix(CURRENT)?.to_owned()))
                .collect();
            found.push(FoundSession {
                record: self.disk.read(&folder.join(SESSION_FILE)),
                session,
                models,
            });
        }
        Ok(found)
    }

    /// The last commit of a model in its file, which is its last one unless the log holds a newer one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn model(&self, session: &str, model: &str) -> io::Result<Vec<u8>> {
        let path = self.folder(session).join(format!("{model}{CURRENT}"));
        self.disk.read(&path)
    }

    /// Writes a session down.
    ///
    /// # Errors
    /// What was there before is still there, whole.
    pub fn put_session(&self, session: &str, record: &[u8]) -> io::Result<()> {
        let folder = self.folder(session);
        self.disk.create_folder(&folder)?;
        self.disk.sync_folder(&self.root.join(SESSIONS))?;
        self.replace(&folder.join(SESSION_FILE), None, record)
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

    /// Commits models whose files are known into the log, all at once. No two snapshots of a model may be the same, or
    /// a file that comes back would bring back what came after it.
    ///
    /// # Errors
    /// Nothing is acknowledged; put into its file, each of them is safe. A crash before may bring it back or not.
    pub fn log(&self, records: &[Record]) -> io::Result<Segment> {
        self.lock_log().add(&self.disk, records)
    }

    /// Whether a session is there to commit into.
    pub fn has_session(&self, session: &str) -> bool {
        self.disk.exists(&self.folder(session))
    }

    /// What the log held of a model when it was opened; handed out once, and with it the care for its segments.
    pub fn take_logged(&self, session: &str, model: &str) -> Option<Logged> {
        let model = (session.to_owned(), model.to_owned());
        self.lock_recovered().remove(&model)
    }

    /// Puts what nobody took from the log into its files; models that are damaged there go to quarantine. What only a
    /// redo makes of a model stays where it is.
    ///
    /// # Errors
    /// The rest is in the log still.
    pub fn fold_rest(&self) -> io::Result<()> {
        let mut recovered = self.lock_recovered();
        let (mut folded, mut done) = (Vec::new(), Ok(()));
        for (model, logged) in recovered.iter() {
            done = match &logged.snapshot {
                _ if logged.is_damaged => self.quarantine(&model.0, &model.1).map(drop),
                Some(snapshot) if logged.redos.is_empty() => {
                    self.put_model(&model.0, &model.1, snapshot).map(drop)
                }
                Some(_) | None => continue,
            };
            if done.is_err() {
                break;
            }
            folded.push(model.clone());
        }
        for model in folded {
            recovered.remove(&model);
        }
        done
    }

    /// Whether the log has a segment.
    pub fn has_log(&self) -> bool {
        !self.lock_log().is_empty()
    }

    /// Begins a new segment with the next commit, so that what counts in the last one can be written into files.
    pub fn close_segment(&self) {
        self.lock_log().close();
    }

    /// Removes segments in which nothing counts.
    ///
    /// # Errors
    /// They are there still, which does no harm.
    pub fn tidy_log(&self) -> io::Result<()> {
        self.lock_log().tidy(&self.disk)
    }

    fn lock_log(&self) -> MutexGuard<'_, Log<D::File>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_recovered(&self) -> MutexGuard<'_, Recovered> {
        self.recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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

    /// Removes a session and its models, all at once.
    ///
    /// # Errors
    /// The session is there, whole, or its leftovers are removed when the folder is opened again.
    pub fn delete_session(&self, session: &str) -> io::Result<()> {
        let sessions = self.root.join(SESSIONS);
        let deleted = sessions.join(format!("{DELETED}{session}"));
        if !if_there(self.disk.rename(&self.folder(session), &deleted))? {
            return Ok(());
        }
        self.disk.sync_folder(&sessions)?;
        self.forget(&format!("{session}."))?;
        self.disk.remove_folder(&deleted)
    }

    /// Moves a model's commits out of the way, to names that are free, and returns where the last one is now, and where
    /// the one before it is, if there was one.
    ///
    /// # Errors
    /// The last one is still where it was.
    pub fn quarantine(&self, session: &str, model: &str) -> io::Result<(PathBuf, Option<PathBuf>)> {
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
        if self.disk.exists(&folder) {
            self.disk.names(&folder)
        } else {
            Ok(Vec::new())
        }
    }

    /// Removes what was moved out of the way and begins with these ids.
    fn forget(&self, ids: &str) -> io::Result<()> {
        let folder = self.root.join(QUARANTINE);
        for name in self.names_in_quarantine()? {
            if name.starts_with(ids) {
                self.disk.remove_file(&folder.join(name))?;
            }
        }
        Ok(())
    }

    fn folder(&self, session: &str) -> PathBuf {
        self.root.join(SESSIONS).join(session)
    }

    /// Writes `bytes` to `path` so that it holds the old or the new content, whole, whatever happens. The old content
    /// goes to `aside` where that is given.
    fn replace(&self, path: &Path, aside: Option<&Path>, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(TEMPORARY);
        let temporary = PathBuf::from(temporary);
        let written = self.write_through(&temporary, bytes);
        if written.is_err() {
            // Whatever it takes up is needed more elsewhere; a leftover goes when the folder is opened again.
            let _ = self.disk.remove_file(&temporary);
            return written;
        }
        if let Some(aside) = aside {
            if_there(self.disk.rename(path, aside))?;
        }
        self.disk.rename(&temporary, path)?;
        match path.parent() {
            Some(folder) => self.disk.sync_folder(folder),
            None => Ok(()),
        }
    }

    fn write_through(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(path)?;
        self.disk.write(&mut file, bytes)?;
        self.disk.sync_file(&file)
    }
}

/// Finishes deletions, removes temporary files, and puts a commit back that was moved aside for one that never came.
fn clean(disk: &impl Disk, sessions: &Path) -> io::Result<()> {
    for name in disk.names(sessions)? {
        let folder = sessions.join(&name);
        if name.starts_with(DELETED) {
            disk.remove_folder(&folder)?;
            continue;
        }
        for name in disk.names(&folder)? {
            if name.ends_with(TEMPORARY) {
                disk.remove_file(&folder.join(&name))?;
            } else if let Some(model) = name.strip_suffix(PREVIOUS) {
                let current = folder.join(format!("{model}{CURRENT}"));
                if !disk.exists(&current) {
                    disk.rename(&folder.join(&name), &current)?;
                    disk.sync_folder(&folder)?;
                }
            }
        }
    }
    disk.sync_folder(sessions)
}

/// Whether something was there to be worked on; that nothing was is no error.
fn if_there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

#[cfg(test)]
mod tests;
