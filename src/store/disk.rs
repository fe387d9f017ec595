//! The disk operations of a store, as single steps: a crash can happen between any two, and each can fail.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names in the folder are credentials and files hold weights, so only the owner may read them.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The kind of a directory entry; links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a pipe, a device, or a name that is not UTF-8.
    Other,
}

/// A directory entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name; invalid UTF-8 is replaced.
    pub name: String,
    /// Its kind.
    pub kind: EntryKind,
}

/// Identifies a file on this machine, independent of its names (device and inode).
pub type Identity = (u64, u64);

/// The state of a file at one moment. Equal stamps mean that the file was neither written nor replaced in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The identity of the file.
    pub identity: Identity,
    /// The file's length in bytes.
    pub length: u64,
    /// When the inode was last changed, in seconds and nanoseconds of the file system's clock.
    pub changed: (i64, i64),
}

/// The file system operations that a store needs.
pub trait Disk {
    /// An open file.
    type File;

    /// Creates a folder and its parents.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Creates an empty file, or truncates an existing one.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens a file for writing in place.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Appends bytes; a crash can lose them.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Writes bytes at an offset; a crash can keep a part of them.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes written bytes durable.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// The same for a file whose size has not changed.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or a folder, replacing the target.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and its contents.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Reads a whole regular file. Never blocks on another process.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The entries of a folder, sorted by name.
    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>>;
    /// The kind of this name; `None` if it does not exist.
    fn kind(&self, path: &Path) -> Option<EntryKind>;
    /// The kind of this name, and when it was last changed; links are not followed.
    fn stamp(&self, path: &Path) -> io::Result<Stamp>;
    /// The identity of an open file.
    fn identity_of(&self, file: &Self::File) -> io::Result<Identity>;

    /// The identity of the file, folder or link with this name.
    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Ok(self.stamp(path)?.identity)
    }

    /// Whether this name exists.
    fn exists(&self, path: &Path) -> bool {
        self.kind(path).is_some()
    }

    /// The names of the regular files in a folder, sorted.
    fn files(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.names_of(folder, EntryKind::File)
    }

    /// The names of the folders in a folder, sorted.
    fn folders(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.names_of(folder, EntryKind::Folder)
    }

    /// The names in a folder of entries of this kind, sorted.
    fn names_of(&self, folder: &Path, kind: EntryKind) -> io::Result<Vec<String>> {
        let entries = self.entries(folder)?.into_iter();
        let entries = entries.filter(|entry| entry.kind == kind);
        Ok(entries.map(|entry| entry.name).collect())
    }
}

/// Observes the operations of a disk, for an operator's metrics.
pub trait DiskWatch: Debug + Send + Sync {
    /// A sync has taken this long.
    fn synced(&self, took: Duration);
    /// An operation that should have worked has failed.
    fn failed(&self);
}

/// The operating system's file system.
#[derive(Clone, Debug, Default)]
pub struct RealDisk {
    watch: Option<Arc<dyn DiskWatch>>,
}

impl RealDisk {
    /// The file system, observed.
    pub fn watched(watch: Arc<dyn DiskWatch>) -> Self {
        Self { watch: Some(watch) }
    }

    /// Reports a failure. That a name is missing or taken is an answer, not a failure.
    fn checked<V>(&self, done: io::Result<V>) -> io::Result<V> {
        if let (Err(error), Some(watch)) = (&done, &self.watch)
            && !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            )
        {
            watch.failed();
        }
        done
    }

    /// Runs a sync, and reports its duration or its failure.
    fn timed(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let began = Instant::now();
        let done = sync();
        if let (Ok(()), Some(watch)) = (&done, &self.watch) {
            watch.synced(began.elapsed());
        }
        self.checked(done)
    }
}

/// Options that open only a regular file: fails on a link and does not block on a pipe.
pub(super) fn options() -> OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options
        .mode(FILE_MODE)
        .custom_flags(flags.bits().cast_signed());
    options
}

/// Creates a folder and its parents.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = regular(options().read(true).open(path)?)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(length);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn kind_of(kind: fs::FileType) -> EntryKind {
    if kind.is_file() {
        EntryKind::File
    } else if kind.is_dir() {
        EntryKind::Folder
    } else {
        EntryKind::Other
    }
}

impl Disk for RealDisk {
    type File = File;

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.checked(point("disk.create_folder").and_then(|()| create_folder(path)))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = options();
        let options = options.write(true).create(true).truncate(true);
        self.checked(point("disk.create").and_then(|()| regular(options.open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        let opened = point("disk.create").and_then(|()| regular(options().write(true).open(path)?));
        self.checked(opened)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        // An injected fault leaves a part, as a full disk does.
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        let written = file.write_all(head).and_then(|()| point("disk.write"));
        self.checked(written.and_then(|()| file.write_all(tail)))
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if cfg!(not(feature = "failpoints")) {
            return self.checked(file.write_all_at(bytes, offset));
        }
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        let written = file.write_all_at(head, offset);
        let written = written.and_then(|()| point("disk.write"));
        self.checked(written.and_then(|()| file.write_all_at(tail, offset + head.len() as u64)))
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.timed(|| point("disk.sync_file").and_then(|()| file.sync_all()))
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.timed(|| point("disk.sync_file").and_then(|()| file.sync_data()))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.timed(|| point("disk.sync_folder").and_then(|()| File::open(path)?.sync_all()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.checked(point("disk.rename").and_then(|()| fs::rename(from, to)))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.checked(point("disk.remove_file").and_then(|()| fs::remove_file(path)))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.checked(point("disk.remove_folder").and_then(|()| fs::remove_dir_all(path)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.checked(point("disk.read").and_then(|()| read_whole(path)))
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, kind) = match entry.file_name().into_string() {
                Ok(name) => (name, kind_of(entry.file_type()?)),
                Err(name) => (name.to_string_lossy().into_owned(), EntryKind::Other),
            };
            entries.push(Entry { name, kind });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> Option<EntryKind> {
        let metadata = path.symlink_metadata().ok()?;
        Some(kind_of(metadata.file_type()))
    }

    fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let metadata = path.symlink_metadata()?;
        Ok(Stamp {
            kind: kind_of(metadata.file_type()),
            identity: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            // The change time, because a copy can preserve the modification time.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn identity_of(&self, file: &File) -> io::Result<Identity> {
        let metadata = file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }
}

/// A failpoint: where a test can make the disk fail (`return`, `return(full)`) or the process abort (`return(abort)`),
/// through the variable FAILPOINTS. Compiled only with the feature `failpoints`.
#[cfg(feature = "failpoints")]
fn point(name: &str) -> io::Result<()> {
    fail::fail_point!(name, |action: Option<String>| match action.as_deref() {
        Some("abort") => std::process::abort(),
        Some("full") => Err(io::ErrorKind::StorageFull.into()),
        Some(_) | None => Err(io::Error::other(format!("failpoint {name}"))),
    });
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
#[allow(
    clippy::unnecessary_wraps,
    reason = "a place where a disk fails in a test"
)]
fn point(_name: &str) -> io::Result<()> {
    Ok(())
}
