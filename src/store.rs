//! The store: sessions and models on disk, as a folder for each session with a file for each model.
//!
//! ```text
//! lock                              held by the process that uses the folder
//! manifest                          the last durable commit of each model (see `manifest`)
//! sessions/{session}/session.json
//! sessions/{session}/{model}.safetensors            the last commit
//! sessions/{session}/{model}.previous.safetensors   the one before
//! sessions/{session}/{dataset}.dataset.safetensors  a dataset
//! log/                              newer commits, until they are in the models' files (see `log`)
//! quarantine/                       files that could not be read, each under a unique name
//! trash/                            sessions that expired (see `trash`)
//! leases.json                       how long each session had been without a call (see `leases`)
//! ```
//!
//! `docs/durability.md` describes the formats and the detection of damage. Other names in the folder are reported and
//! left alone.
//!
//! A commit to a file writes a temporary file in the same folder, fsyncs it, renames it and fsyncs the folder: after a
//! crash the file is the old or the new one, whole. The store does not interpret contents. Ids consist of lower-case
//! letters, digits and hyphens, which makes them valid file names on every platform.

pub mod backup;
mod datasets;
mod disk;
mod formats;
mod head;
mod leases;
mod lock;
mod log;
mod log_access;
mod manifest;
mod models;
mod quarantine;
mod record;
mod scan;
mod sessions;
mod storage;
mod strays;
mod survey;
mod trash;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Disk, EntryKind, RealDisk};
use lock::Lock;
use log::{Log, RecoveredCommits};
use manifest::{Contents, Manifest};
use strays::Strays;
use survey::Survey;

pub use disk::DiskWatch;
pub use formats::Formats;
pub use lock::FolderLock;
pub use log::{LoggedCommits, SEGMENT_BYTES, Segment};
pub use manifest::{Mark, Marks};
pub use record::{Anchor, Kind, Record};
use sessions::SessionContents;

pub use sessions::FoundSession;
pub use storage::Storage;
pub use trash::TrashedSession;

const SESSIONS: &str = "sessions";
const LOG: &str = "log";
const QUARANTINE: &str = "quarantine";
const MANIFEST: &str = "manifest";
/// A file among the folders of sessions. Programs that know neither the manifest nor the chain of the log list every
/// name here as a folder, so they refuse to start before they change anything.
const BARRIER: &str = ".0-needs-a-newer-backpropd";
const TEMPORARY: &str = ".tmp";
/// Most names that are tried for a temporary file.
const MOST_TEMPORARIES: usize = 100;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process uses the folder.
    #[error("{0} is in use by another process; stop that one, or choose another folder")]
    Locked(PathBuf),
    /// A newer program wrote it.
    #[error(
        "{0} was written by a newer backpropd; use that one, or another folder. Nothing has been changed"
    )]
    Newer(PathBuf),
    /// A file has a format that this program cannot read.
    #[error(
        "{path} has format version {version}, which backpropd {} does not know; nothing was changed. Start the version \
         of backpropd that wrote it, or a later one, on this folder", env!("CARGO_PKG_VERSION")
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        version: u32,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot use {path}: {source}")]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
}

/// An open data folder, locked against other processes.
#[derive(Debug)]
pub struct Store<D: Disk = RealDisk> {
    root: PathBuf,
    disk: D,
    log: Mutex<Log<D::File>>,
    /// Contents of the log at startup that have not been taken yet.
    recovered: Mutex<RecoveredCommits>,
    manifest: Mutex<Manifest<D::File>>,
    /// Contents of the manifest at startup.
    marks: Mutex<Marks>,
    /// Whether there was a manifest at startup.
    had_manifest: bool,
    /// The sessions at startup, with the ids of their models and datasets.
    found: Mutex<Vec<(String, SessionContents)>>,
    /// Problems with the folder at startup.
    findings: Vec<String>,
    /// Whether the last check of the folder found a problem, so that each is logged once.
    is_wrong: AtomicBool,
    lock: Option<Lock>,
}

/// An I/O error at this path.
fn unusable(path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Unusable { path, source }
}

impl Store {
    /// [`Store::open_checked`] without a check of formats.
    ///
    /// # Errors
    /// Another process holds the folder, or it cannot be read or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_checked(root, &Formats::ANY)
    }

    /// Opens the folder, creates it if missing, and removes the remains of interrupted commits and deletions.
    ///
    /// # Errors
    /// Another process holds it, it cannot be read or written, or something in it has an unknown format.
    pub fn open_checked(root: &Path, formats: &Formats) -> Result<Self, StoreError> {
        Self::open_on(RealDisk::default(), root, formats)
    }

    /// [`Store::open_checked`], with an observer of the disk.
    ///
    /// # Errors
    /// As [`Store::open_checked`].
    pub fn open_watched(
        root: &Path,
        formats: &Formats,
        watch: Arc<dyn DiskWatch>,
    ) -> Result<Self, StoreError> {
        Self::open_on(RealDisk::watched(watch), root, formats)
    }

    fn open_on(disk: RealDisk, root: &Path, formats: &Formats) -> Result<Self, StoreError> {
        let permissions = strays::permissions(root);
        disk::create_folder(root).map_err(unusable(root))?;
        let lock = Lock::take(root)?;
        let survey = Survey::read(&disk, &root.join(SESSIONS))?;
        formats.check(root, &survey)?;
        let mut store = Self::on(disk, root, Some(lock), &survey)?;
        store.check_log(formats)?;
        store.findings.extend(permissions);
        Ok(store)
    }

    /// Checks the format of the log's commits.
    fn check_log(&self, formats: &Formats) -> Result<(), StoreError> {
        let recovered = self.lock_recovered();
        let contents = recovered.values().flat_map(|logged| {
            let redos = logged.redos.iter();
            logged.snapshot.iter().chain(redos)
        });
        let version = { contents }.find_map(|content| (formats.unknown_model)(content));
        version.map_or(Ok(()), |version| {
            let path = self.root.join(LOG);
            Err(StoreError::UnknownFormat { path, version })
        })
    }
}

impl<D: Disk> Store<D> {
    fn on(disk: D, root: &Path, lock: Option<Lock>, survey: &Survey) -> Result<Self, StoreError> {
        let (path, log) = (root.join(MANIFEST), root.join(LOG));
        if let Some(newer) = log::newer(&disk, &log).map_err(unusable(&log))? {
            return Err(StoreError::Newer(newer));
        }
        let bytes = match disk.kind(&path) {
            Some(EntryKind::File) => Some(disk.read(&path).map_err(unusable(&path))?),
            Some(EntryKind::Folder | EntryKind::Other) | None => None,
        };
        if bytes.as_deref().is_some_and(manifest::is_newer) {
            return Err(StoreError::Newer(path));
        }
        // The folder is changed from here on.
        let (mut findings, mut strays) = (Vec::new(), Strays::default());
        let sessions = root.join(SESSIONS);
        disk.create_folder(&sessions).map_err(unusable(&sessions))?;
        let found = sessions::clean(&disk, &sessions, survey, &mut findings, &mut strays);
        let found = found.map_err(unusable(&sessions))?;
        remove_temporaries(&disk, root);
        let anchor = |session: &str, model: &str| {
            let folder = sessions.join(session);
            let path = folder.join(format!("{model}{}", models::CURRENT));
            match disk.kind(&path) {
                Some(EntryKind::File) => Ok(Some(Anchor::of(&disk.read(&path)?))),
                Some(EntryKind::Folder | EntryKind::Other) | None => Ok(None),
            }
        };
        let quarantine = root.join(QUARANTINE);
        let opened = Log::open(&disk, &log, &quarantine, &mut findings, anchor);
        let (log, recovered) = opened.map_err(unusable(&log))?;
        let contents = bytes.as_deref().map(Contents::read);
        let manifest = open_manifest(&disk, &path, &quarantine, contents.as_ref(), &mut findings);
        let contents = contents.unwrap_or_default();
        strays::find(&disk, root, &mut strays);
        findings.extend(strays.findings());
        Ok(Self {
            root: root.to_owned(),
            disk,
            log: Mutex::new(log),
            recovered: Mutex::new(recovered),
            manifest: Mutex::new(manifest),
            had_manifest: contents.has_head || !contents.marks.is_empty(),
            marks: Mutex::new(contents.marks),
            found: Mutex::new(found),
            findings,
            is_wrong: AtomicBool::new(false),
            lock,
        })
    }

    /// Problems with the folder at startup, in sentences. The loss of a model is reported with the model instead.
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Fails if the folder was removed or replaced.
    fn in_place(&self) -> io::Result<()> {
        self.lock.as_ref().map_or(Ok(()), Lock::check)
    }

    fn lock_manifest(&self) -> MutexGuard<'_, Manifest<D::File>> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the manifest durable.
    ///
    /// # Errors
    /// The disk write fails.
    pub fn sync_manifest(&self) -> io::Result<()> {
        let file = self.lock_manifest().take_dirty();
        let synced = file.map_or(Ok(()), |file| self.disk.sync_data(&file));
        if synced.is_err() {
            self.lock_manifest().note_dirty();
        }
        synced
    }

    fn folder(&self, session: &str) -> PathBuf {
        self.root.join(SESSIONS).join(session)
    }

    /// Replaces the content of `path` with `bytes` atomically: after a crash the file is the old or the new one, whole.
    /// The old content moves to `aside`, if given.
    fn replace(&self, path: &Path, aside: Option<&Path>, bytes: &[u8]) -> io::Result<()> {
        // Never write into another folder at this path.
        self.in_place()?;
        let folder = path.parent().filter(|folder| *folder != self.root);
        folder.map_or(Ok(()), |folder| folder_is_free(&self.disk, folder))?;
        file_is_free(&self.disk, path)?;
        let (temporary, _) = write_temporary(&self.disk, path, bytes)?;
        // If `aside` is blocked, replace the file directly: that is atomic, too.
        let aside = aside.filter(|aside| file_is_free(&self.disk, aside).is_ok());
        if let Some(aside) = aside {
            if_there(self.disk.rename(path, aside))?;
        }
        self.disk.rename(&temporary, path)?;
        if let Some(folder) = path.parent() {
            self.disk.sync_folder(folder)?;
        }
        self.in_place()
    }
}

/// Removes the temporary files beside `sessions` that interrupted writes left. One that cannot be removed is harmless.
fn remove_temporaries(disk: &impl Disk, root: &Path) {
    let names = disk.files(root).unwrap_or_default().into_iter();
    for name in names.filter(|name| strays::is_in_root(name)) {
        let _ = disk.remove_file(&root.join(name));
    }
}

/// Opens the manifest, and creates a new one if it cannot be read. The store works without a manifest, except that it
/// cannot detect lost commits.
fn open_manifest<D: Disk>(
    disk: &D,
    path: &Path,
    quarantine: &Path,
    contents: Option<&Contents>,
    findings: &mut Vec<String>,
) -> Manifest<D::File> {
    let shown = path.display();
    let is_foreign = contents.is_some_and(|contents| {
        !contents.has_head && contents.marks.is_empty() && !contents.is_empty
    });
    if is_foreign {
        let set_aside = quarantine::set_aside(disk, path, quarantine);
        let became = match set_aside {
            Ok(moved) => format!("it was moved to {}", moved.display()),
            Err(error) => format!("it cannot be moved away ({error})"),
        };
        findings.push(format!(
            "{shown} cannot be read: {became}, and a new one was created"
        ));
    } else if let Some(contents) = contents {
        if contents.damaged > 0 {
            let damaged = contents.damaged;
            findings.push(format!("{shown}: {damaged} of its slots cannot be read"));
        }
        if !contents.has_head {
            findings.push(format!("{shown}: its head was damaged, and was rewritten"));
        }
    }
    let known = contents.filter(|_| !is_foreign);
    let opened = match known {
        Some(contents) => Manifest::open(disk, path, contents, false),
        None => Manifest::open(disk, path, &Contents::default(), true),
    };
    opened.unwrap_or_else(|error| {
        findings.push(format!(
            "{shown} cannot be written ({error}): a later startup cannot detect lost commits"
        ));
        Manifest::absent(path)
    })
}

/// Writes the new content durably to a temporary file beside `path`; returns its name and the file.
fn write_temporary<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> io::Result<(PathBuf, D::File)> {
    let temporary = temporary(disk, path)?;
    let mut file = disk.create(&temporary)?;
    let written = disk.write(&mut file, bytes);
    if let Err(error) = written.and_then(|()| disk.sync_file(&file)) {
        // Free its space now; otherwise it is removed when the folder is opened again.
        let _ = disk.remove_file(&temporary);
        return Err(error);
    }
    Ok((temporary, file))
}

/// A name for the temporary file: `{name}.tmp`, or `{name}.1.tmp` if a folder or a link has that name. A plain file of
/// this name is the remains of an interrupted commit, and is removed.
fn temporary(disk: &impl Disk, path: &Path) -> io::Result<PathBuf> {
    let name = |number| {
        let mut name = path.as_os_str().to_owned();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.push(TEMPORARY);
        PathBuf::from(name)
    };
    for name in (0..MOST_TEMPORARIES).map(name) {
        match disk.kind(&name) {
            None => return Ok(name),
            Some(EntryKind::File) => {
                // Removed, not truncated: the file may have another hard link.
                if_there(disk.remove_file(&name))?;
                return Ok(name);
            }
            Some(EntryKind::Folder | EntryKind::Other) => {}
        }
    }
    Err(in_the_way(&name(0)))
}

/// The name of the file that a temporary file belongs to.
fn without_temporary(name: &str) -> Option<&str> {
    let name = name.strip_suffix(TEMPORARY)?;
    let numbered = name.rsplit_once('.').filter(|(_, number)| {
        let number = number.parse::<usize>().ok();
        number.is_some_and(|number| (1..MOST_TEMPORARIES).contains(&number))
    });
    Some(numbered.map_or(name, |(name, _)| name))
}

/// Fails if the path is occupied by anything but a plain file.
fn file_is_free(disk: &impl Disk, path: &Path) -> io::Result<()> {
    match disk.kind(path) {
        Some(EntryKind::File) | None => Ok(()),
        Some(EntryKind::Folder | EntryKind::Other) => Err(in_the_way(path)),
    }
}

/// Fails if the path is occupied by anything but a folder. Startup does not follow links, so it would miss what is
/// behind one.
fn folder_is_free(disk: &impl Disk, path: &Path) -> io::Result<()> {
    match disk.kind(path) {
        Some(EntryKind::Folder) | None => Ok(()),
        Some(EntryKind::File | EntryKind::Other) => Err(in_the_way(path)),
    }
}

/// The error for a name of the server's that is occupied by a foreign file, folder or link.
fn in_the_way(path: &Path) -> io::Error {
    let kind = match path.symlink_metadata().map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_symlink() => "a symbolic link",
        Ok(kind) if kind.is_dir() => "a folder",
        Ok(kind) if kind.is_file() => "a file",
        Ok(_) | Err(_) => "not a file",
    };
    let path = path.display();
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("{path} is {kind} that is not the server's and stands in the way: move it away"),
    )
}

/// Whether the target existed; a missing target is not an error.
fn if_there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

#[cfg(test)]
mod tests;
