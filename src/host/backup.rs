//! Backups of a data folder, which a server may be using, and their return.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::host::clock::Clock;
use crate::host::datasets::{Catalogue, SharedDatasetsError};
use crate::host::durability::Persistence;
use crate::host::limits::of_registry;
use crate::host::models::handle::ModelEntry;
use crate::store::backup::{Copied, copy};
use crate::store::{FolderLock, StoreError};
use crate::training::Registry;

/// A copy that fails its check is made again: a file may have been read in the very moment of a write.
const MOST_TRIES: usize = 3;

/// Memory for models while a copy is checked, in bytes: each is read, none needs to stay.
const CHECK_BYTES: usize = 1 << 20;

/// Suffix of a backup that is not complete.
const UNFINISHED: &str = ".unfinished";

/// Folder within a data folder that a restore copies into.
const ARRIVING: &str = ".arriving";

/// A backup or a restored folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What was copied.
    pub copied: Copied,
    /// Models that were lost before, and answer DATA_LOSS in the copy as they did.
    pub lost: Vec<String>,
    /// What is damaged in the original and hence in the copy, where a server uses the rest.
    pub damage: Vec<String>,
}

/// What a copy is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Original {
    /// The folder of a server, from which models may have been lost.
    Folder,
    /// A backup, which was whole when it was made.
    Backup,
}

/// Why a backup or a restore failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target has something in it.
    #[error("{0} is not empty: name a folder that does not exist yet, or an empty one")]
    NotEmpty(PathBuf),
    /// The copy would be a part of its original.
    #[error("{to} is in {from}, which is to be copied: name a folder outside of it")]
    Within {
        /// The target.
        to: PathBuf,
        /// The original.
        from: PathBuf,
    },
    /// The copy does not hold what it should.
    #[error("the copy in {folder} failed its check: {why}")]
    Unsound {
        /// The copy, which stays for inspection.
        folder: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The built-in datasets cannot be used.
    #[error(transparent)]
    Datasets(#[from] SharedDatasetsError),
    /// Reading or writing a folder failed.
    #[error("cannot use {folder}: {source}")]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
}

/// Copies the data folder into `to`, which must not exist or be empty, and checks the copy by starting on it.
///
/// # Errors
/// A folder cannot be used, or the copy fails its check.
pub fn back_up(folder: &Path, to: &Path) -> Result<Summary, BackupError> {
    require_apart(folder, to)?;
    require_empty(to)?;
    // Without a slash at the end, and by name if it is `.`: the copy is made beside it.
    let to = &match to.canonicalize() {
        Ok(to) => to,
        Err(_) => to.components().collect(),
    };
    let mut name = to.as_os_str().to_owned();
    name.push(UNFINISHED);
    let unfinished = PathBuf::from(name);
    require_empty(&unfinished)?;
    let summary = copy_soundly((folder, Original::Folder), &unfinished)?;
    let lock = unfinished.join("lock");
    remove_file(&lock).map_err(disk(&lock))?;
    // A rename replaces an empty folder.
    fs::rename(&unfinished, to).map_err(disk(to))?;
    sync_parent(to)?;
    Ok(summary)
}

/// Copies a backup into the data folder `to`, which must not exist or be empty, and checks it by starting on it.
///
/// # Errors
/// A folder cannot be used, or the copy fails its check.
pub fn restore(backup: &Path, to: &Path) -> Result<Summary, BackupError> {
    if to.join("lock").exists() {
        // Tells a folder in use from one that is only not empty.
        drop(FolderLock::take(to)?);
    }
    require_apart(backup, to)?;
    require_empty(to)?;
    let arriving = to.join(ARRIVING);
    fs::create_dir_all(to).map_err(disk(to))?;
    // No server starts here until all has arrived.
    let lock = FolderLock::take(to)?;
    let summary = match copy_soundly((backup, Original::Backup), &arriving) {
        Ok(summary) => summary,
        Err(error) => {
            // Empty again, for the next try. What cannot be removed is named by it.
            let _ = fs::remove_dir_all(&arriving);
            let _ = remove_file(&to.join("lock"));
            return Err(error);
        }
    };
    let arrived = arriving.join("lock");
    remove_file(&arrived).map_err(disk(&arrived))?;
    // The manifest first: should this be interrupted, a start misses what it names instead of beginning anew.
    let mut names = names(&arriving)?;
    names.sort_by_key(|name| (name != "manifest", name == "sessions"));
    for name in names {
        fs::rename(arriving.join(&name), to.join(&name)).map_err(disk(to))?;
    }
    fs::remove_dir(&arriving).map_err(disk(&arriving))?;
    sync(to)?;
    drop(lock);
    Ok(summary)
}

/// Copies until the copy passes its check.
fn copy_soundly((from, what): (&Path, Original), to: &Path) -> Result<Summary, BackupError> {
    let mut tries = 1;
    loop {
        fs::create_dir_all(to).map_err(disk(to))?;
        close(to).map_err(disk(to))?;
        let copied = copy(from, to)?;
        match check(to, what, copied)? {
            Ok(summary) => return Ok(summary),
            Err(_) if tries < MOST_TRIES => {
                tries += 1;
                fs::remove_dir_all(to).map_err(disk(to))?;
            }
            Err(why) => {
                let folder = to.to_owned();
                return Err(BackupError::Unsound { folder, why });
            }
        }
    }
}

/// Starts on a copy, as a server would: reads every model, replays the log, compares each with the manifest. `Err` says
/// what a server would miss.
fn check(
    folder: &Path,
    what: Original,
    copied: Copied,
) -> Result<Result<Summary, String>, BackupError> {
    let config = Config {
        max_total_parameter_bytes: CHECK_BYTES,
        ..Config::default()
    };
    let Some(path) = folder.to_str() else {
        let source = io::Error::other("its name is not UTF-8");
        return Err(disk(folder)(source));
    };
    let metrics = std::sync::Arc::default();
    let persistence = Persistence::open(path, &metrics)?;
    let mut registry = Registry::new(of_registry(&config));
    let datasets = Catalogue::start(&config)?;
    let now = Clock::of_the_machine().now();
    let (remembered, cores) = (config.request_ids_per_model, config.compute_threads());
    let quarantined = persistence.quarantined().map_err(disk(folder))?;
    persistence
        .load_all(&mut registry, &datasets, remembered, cores, now)
        .map_err(disk(folder))?;
    let (mut lost, mut missing) = (Vec::new(), Vec::new());
    let mut damage = damage(&copied, what, &registry, &datasets);
    for (name, why) in persistence.lost_models() {
        let key = (name.session.0.to_string(), name.model.to_string());
        if quarantined.contains(&key) {
            lost.push(name.to_string());
        } else if copied.gone.contains(&key) {
            match what {
                Original::Folder => lost.push(name.to_string()),
                Original::Backup => damage.push(why),
            }
        } else {
            missing.push(why);
        }
    }
    if missing.is_empty() {
        Ok(Ok(Summary {
            copied,
            lost,
            damage,
        }))
    } else {
        damage.extend(missing);
        Ok(Err(damage.join("; ")))
    }
}

/// The damage with which a server starts all the same: it costs a session, a dataset, or the knowledge of lost commits.
fn damage(
    copied: &Copied,
    what: Original,
    registry: &Registry<ModelEntry>,
    datasets: &Catalogue,
) -> Vec<String> {
    let mut damage = Vec::new();
    // A program from before manifests leaves a folder without one.
    let is_told = what == Original::Backup || !copied.manifest_is_missing();
    if let Some(why) = copied
        .manifest_damage
        .as_ref()
        .filter(|_| is_told && copied.models > 0)
    {
        damage.push(format!(
            "the manifest: {why}; that models were lost, or are older than they were, goes unnoticed"
        ));
    }
    for (session, why) in registry.damaged() {
        damage.push(format!("{session}: {why}"));
    }
    for (dataset, why) in datasets.damaged() {
        damage.push(format!("{dataset}: {why}"));
    }
    damage
}

/// Refuses a target in the original: a copy would hold itself, and a server would find it among its files.
fn require_apart(from: &Path, to: &Path) -> Result<(), BackupError> {
    let Ok(original) = from.canonicalize() else {
        // Copying tells what is wrong with it.
        return Ok(());
    };
    let target = std::path::absolute(to).map_err(disk(to))?;
    let known = target
        .ancestors()
        .find_map(|folder| folder.canonicalize().ok());
    if known.is_some_and(|known| known.starts_with(&original)) {
        return Err(BackupError::Within {
            to: to.to_owned(),
            from: from.to_owned(),
        });
    }
    Ok(())
}

fn require_empty(folder: &Path) -> Result<(), BackupError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty(folder.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(disk(folder)(error)),
    }
}

fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, BackupError> {
    let entries = fs::read_dir(folder).map_err(disk(folder))?;
    let names = entries.map(|entry| Ok(entry?.file_name()));
    names.collect::<io::Result<_>>().map_err(disk(folder))
}

/// Closes a folder to other accounts: it holds names that give access, and weights.
fn close(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn sync(folder: &Path) -> Result<(), BackupError> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(disk(folder))
}

fn sync_parent(path: &Path) -> Result<(), BackupError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        Some(_) | None => sync(Path::new(".")),
    }
}

fn disk(folder: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let folder = folder.to_owned();
    move |source| BackupError::Disk { folder, source }
}
