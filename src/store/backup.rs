//! Copies a data folder while a server writes to it, without a word to the server.
//!
//! The copy is a state in which a crash could have left the folder, and holds everything that was durable when the copy
//! began. That follows from the order:
//!
//! 1. The manifest is read first: it names, for each model, a commit that is durable already. The rest is copied later,
//!    so it is as new or newer.
//! 2. The log is append-only, and is copied from its end to its beginning, a page at a time. Whatever is read at an
//!    offset was written before what is read at a smaller one, so the copy holds the log up to some moment, with at most
//!    the last group torn.
//! 3. The models' files come after the log, since a file replaces commits in the log and never the reverse. A commit that
//!    is missing in the copied log because its segment was removed is in the file that replaced it. Files are replaced
//!    by renaming, so an open one is whole.
//! 4. The datasets of a session come before its models: a dataset is removed only after no commit in the log needs it.
//! 5. Models that the server has deleted meanwhile leave the copied manifest: those without a file that the server's
//!    manifest no longer names at the end.
//!
//! `docs/durability.md` has the argument in full.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use super::disk::{self, Disk as _, EntryKind, RealDisk};
use super::leases::LEASES;
use super::manifest::{self, Contents};
use super::models::{CURRENT, PREVIOUS};
use super::sessions::SESSION_FILE;
use super::trash::TRASH;
use super::{
    LOG, MANIFEST, Marks, QUARANTINE, SESSIONS, StoreError, datasets, log, strays, unusable,
};

/// A page of the page cache: what the kernel copies at a time.
const PAGE: usize = 4 << 10;

/// How often a folder that changes while it is copied is copied again.
const MOST_TRIES: usize = 10;

/// How long a model's file may be missing while it is replaced: two renames.
const REPLACEMENT: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What is said of a manifest that is not there.
const MISSING: &str = "it is missing";

/// What a copy holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Number of sessions.
    pub sessions: usize,
    /// Number of models.
    pub models: usize,
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// Session and model of those that were lost before: the manifest names them and their files are gone.
    pub gone: BTreeSet<(String, String)>,
    /// What is wrong with the manifest.
    pub manifest_damage: Option<String>,
}

impl Copied {
    /// Whether there was no manifest.
    #[must_use]
    pub fn manifest_is_missing(&self) -> bool {
        self.manifest_damage.as_deref() == Some(MISSING)
    }
}

/// Copies the data folder `root` into the empty folder `to`, durably.
///
/// # Errors
/// `root` is no data folder, a file cannot be read or written.
pub fn copy(root: &Path, to: &Path) -> Result<Copied, StoreError> {
    let disk = RealDisk::default();
    if disk.kind(&root.join(SESSIONS)).is_none() {
        let error = io::Error::new(io::ErrorKind::NotFound, "it is not a data folder");
        return Err(unusable(root)(error));
    }
    let (before, manifest_damage) = match sound_manifest(root)? {
        Some(contents) => (Some(contents.marks.clone()), damage(&contents)),
        None => (None, Some(MISSING.to_owned())),
    };
    let mut copy = Copy {
        disk,
        copied: Copied {
            manifest_damage,
            ..Copied::default()
        },
    };
    let failed = unusable(root);
    copy.all(root, to, before.as_ref()).map_err(failed)?;
    if let Some(before) = before {
        let after = contents(root)?.unwrap_or_default().marks;
        let kept = copy.still_there(to, before, &after);
        let path = to.join(MANIFEST);
        copy.write(&path, &manifest::encode(&kept))
            .map_err(unusable(&path))?;
    }
    sync_all(to).map_err(unusable(to))?;
    Ok(copy.copied)
}

/// The manifest of a folder; `None` without one. What was read in the moment of a write is read again.
fn sound_manifest(root: &Path) -> Result<Option<Contents>, StoreError> {
    let mut tries = 1;
    loop {
        let read = contents(root)?;
        let is_sound = read.as_ref().is_none_or(|it| damage(it).is_none());
        if is_sound || tries == MOST_TRIES {
            return Ok(read);
        }
        tries += 1;
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What is wrong with a manifest.
fn damage(contents: &Contents) -> Option<String> {
    if contents.damaged > 0 {
        let damaged = contents.damaged;
        return Some(format!("{damaged} of its entries cannot be read"));
    }
    (!contents.has_head).then(|| "its head is damaged".to_owned())
}

fn contents(root: &Path) -> Result<Option<Contents>, StoreError> {
    let (disk, path) = (RealDisk::default(), root.join(MANIFEST));
    if disk.kind(&path) != Some(EntryKind::File) {
        return Ok(None);
    }
    let bytes = disk.read(&path).map_err(unusable(&path))?;
    if manifest::is_newer(&bytes) {
        return Err(StoreError::Newer(path));
    }
    Ok(Some(Contents::read(&bytes)))
}

/// Makes every file below `folder` durable.
fn sync_all(folder: &Path) -> io::Result<()> {
    let open = File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&open)?;
    open.sync_all()
}

struct Copy {
    disk: RealDisk,
    copied: Copied,
}

impl Copy {
    fn all(&mut self, root: &Path, to: &Path, marks: Option<&Marks>) -> io::Result<()> {
        self.log(&root.join(LOG), &to.join(LOG))?;
        let (sessions, into) = (root.join(SESSIONS), to.join(SESSIONS));
        disk::create_folder(&into)?;
        for session in self.disk.folders(&sessions)? {
            if strays::is_id(&session) {
                let known = marks.into_iter().flat_map(|marks| marks.keys());
                let known = known.filter(|(of, _)| *of == session);
                let known = known.map(|(_, model)| model.clone()).collect();
                self.session(&sessions.join(&session), &into.join(&session), known)?;
            }
        }
        self.plain(&root.join(QUARANTINE), &to.join(QUARANTINE))?;
        self.trash(&root.join(TRASH), &to.join(TRASH))?;
        // Only a stopped server has one.
        if self.disk.kind(&root.join(LEASES)) == Some(EntryKind::File) {
            self.file(&root.join(LEASES), &to.join(LEASES))?;
        }
        Ok(())
    }

    /// Copies the parts of the log, the newest first.
    fn log(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.disk.kind(from) != Some(EntryKind::Folder) {
            return Ok(());
        }
        disk::create_folder(to)?;
        let names = self.disk.files(from)?.into_iter();
        let mut parts: Vec<_> = names.filter(|name| log::number(name).is_some()).collect();
        parts.sort_unstable();
        for name in parts.into_iter().rev() {
            match read_backwards(&from.join(&name)) {
                Ok(bytes) => self.write(&to.join(&name), &bytes)?,
                // No commit in it was needed any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Copies a session, unless it is being created or deleted. `known` are the models that the manifest has of it.
    fn session(&mut self, from: &Path, to: &Path, known: BTreeSet<String>) -> io::Result<()> {
        for _ in 0..MOST_TRIES {
            // While it is open, no other folder gets its identity.
            let open = match File::open(from) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                open => open?,
            };
            let mut tried = Self {
                disk: self.disk.clone(),
                copied: Copied::default(),
            };
            tried.session_once(from, to, known.clone())?;
            let same = match self.disk.identity(from) {
                Ok(identity) => identity == self.disk.identity_of(&open)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            if same {
                self.copied.sessions += tried.copied.sessions;
                self.copied.models += tried.copied.models;
                self.copied.bytes += tried.copied.bytes;
                return Ok(());
            }
            // Deleted meanwhile, and perhaps created again: nothing of the two may mix.
            if self.disk.exists(to) {
                fs::remove_dir_all(to)?;
            }
        }
        Err(changes_too_often(from))
    }

    fn session_once(&mut self, from: &Path, to: &Path, known: BTreeSet<String>) -> io::Result<()> {
        let mut names = self.names(from)?;
        let mut models = known;
        models.extend(names.iter().filter_map(|name| model_of(name)));
        names.retain(|name| datasets::id(name).is_some());
        let has_record = self.disk.exists(&from.join(SESSION_FILE));
        if !has_record && models.is_empty() {
            // It is being created, and its creation is not acknowledged.
            return Ok(());
        }
        disk::create_folder(to)?;
        self.copied.sessions += 1;
        self.file_if_there(&from.join(SESSION_FILE), &to.join(SESSION_FILE))?;
        for name in names {
            self.file_if_there(&from.join(&name), &to.join(&name))?;
        }
        for model in models {
            let name = format!("{model}{CURRENT}");
            let copied = self.model(from, &model, &to.join(name))?;
            self.copied.models += usize::from(copied);
        }
        Ok(())
    }

    /// Copies the file of a model; returns whether there is one. While it is replaced, there is none for a moment.
    fn model(&mut self, from: &Path, model: &str, to: &Path) -> io::Result<bool> {
        let (current, previous) = (
            from.join(format!("{model}{CURRENT}")),
            from.join(format!("{model}{PREVIOUS}")),
        );
        let mut waited = Duration::ZERO;
        loop {
            if self.file_if_there(&current, to)? {
                return Ok(true);
            }
            if !self.disk.exists(&previous) && !self.disk.exists(&current) {
                // Between the two looks, the first rename may have happened.
                return self.file_if_there(&current, to);
            }
            if waited >= REPLACEMENT {
                // The server itself was interrupted here: a start takes the previous commit for the last one, and says so.
                let aside = to.with_file_name(format!("{model}{PREVIOUS}"));
                return self.file_if_there(&previous, &aside);
            }
            std::thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
    }

    /// Copies the files of a folder that has nothing but files.
    fn plain(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.disk.kind(from) != Some(EntryKind::Folder) {
            return Ok(());
        }
        disk::create_folder(to)?;
        for name in self.names(from)? {
            self.file_if_there(&from.join(&name), &to.join(&name))?;
        }
        Ok(())
    }

    /// Copies the trash. Its folders are renamed as their time runs, so it is copied until no name has changed.
    fn trash(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.disk.kind(from) != Some(EntryKind::Folder) {
            return Ok(());
        }
        for _ in 0..MOST_TRIES {
            let names = self.disk.folders(from)?;
            let bytes = self.copied.bytes;
            disk::create_folder(to)?;
            for name in &names {
                match self.plain(&from.join(name), &to.join(name)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    done => done?,
                }
            }
            if self.disk.folders(from)? == names {
                return Ok(());
            }
            self.copied.bytes = bytes;
            fs::remove_dir_all(to)?;
        }
        Err(changes_too_often(from))
    }

    /// The names of the files in a folder; none if it is gone.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        match self.disk.files(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names,
        }
    }

    fn file_if_there(&mut self, from: &Path, to: &Path) -> io::Result<bool> {
        match self.file(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies a plain file. It is opened once, so that it is copied whole even if another takes its name meanwhile.
    fn file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut from = disk::options().read(true).open(from)?;
        if !from.metadata()?.is_file() {
            return Ok(());
        }
        let mut to = self.disk.create(to)?;
        self.copied.bytes += io::copy(&mut from, &mut to)?;
        Ok(())
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(path)?;
        file.write_all(bytes)?;
        self.copied.bytes += bytes.len() as u64;
        Ok(())
    }

    /// The marks from before the copy of those models that were not deleted meanwhile. Notes those whose files were gone
    /// before.
    fn still_there(&mut self, to: &Path, before: Marks, after: &Marks) -> Marks {
        let mut kept = before;
        kept.retain(|key @ (session, model), _| {
            let folder = to.join(SESSIONS).join(session);
            let file = |ending: &str| self.disk.exists(&folder.join(format!("{model}{ending}")));
            if file(CURRENT) || file(PREVIOUS) {
                return true;
            }
            if after.contains_key(key) {
                self.copied.gone.insert(key.clone());
                return true;
            }
            false
        });
        kept
    }
}

/// The id of the model that a file in a session's folder belongs to.
fn model_of(name: &str) -> Option<String> {
    let id = name
        .strip_suffix(PREVIOUS)
        .or_else(|| name.strip_suffix(CURRENT))?;
    strays::is_id(id).then(|| id.to_owned())
}

/// Reads a file that is appended to from its end to its beginning, a page at a time.
fn read_backwards(path: &Path) -> io::Result<Vec<u8>> {
    let file = disk::options().read(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    for at in (0..length).step_by(PAGE).rev() {
        let end = length.min(at + PAGE);
        file.read_exact_at(&mut bytes[at..end], at as u64)?;
    }
    Ok(bytes)
}

fn changes_too_often(folder: &Path) -> io::Error {
    io::Error::other(format!(
        "{} changes too often to be copied",
        folder.display()
    ))
}
