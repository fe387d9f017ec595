//! What a store does to a disk, step by step: each is one that a crash can come before or after, and that can fail.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Names in the folder give access and files hold weights, so that both are their owner's alone.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What a name stands for; links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a pipe, a device, or a name that is not UTF-8.
    Other,
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
}

/// What tells a file from every other on this machine, whatever its names are.
pub type Identity = (u64, u64);

/// The state of the file under a name at one moment. Two equal stamps mean that the file was neither written to nor
/// replaced in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What the name stands for.
    pub kind: EntryKind,
    /// Which file has the name.
    pub identity: Identity,
    /// The file's length in bytes.
    pub length: u64,
    /// When the file was last changed, in seconds and nanoseconds by the file system's clock.
    pub changed: (i64, i64),
}

/// A file system, as far as a store uses one.
pub trait Disk {
    /// A file that is being written.
    type File;

    /// Makes a folder, and those that it lies in.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes an empty file, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens a file to write over what is there.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Adds bytes, which a crash can lose.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Writes over bytes that are there or adds some, which a crash can keep in part.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// The same where the file's size has not changed.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Gives a file or a folder another name, which takes the place of what was there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and what is in it.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// All of a regular file. Never waits for another process.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What lies in a folder, sorted by name.
    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>>;
    /// What this name stands for; `None` where there is nothing.
    fn kind(&self, path: &Path) -> Option<EntryKind>;
    /// What this name stands for and when that was changed; a link is not followed.
    fn stamp(&self, path: &Path) -> io::Result<Stamp>;
    /// Which file this is.
    fn identity_of(&self, file: &Self::File) -> io::Result<Identity>;

    /// Which file, folder or link has this name.
    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Ok(self.stamp(path)?.identity)
    }

    /// Whether something has this name.
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

    /// The names in a folder that stand for something of this kind, sorted.
    fn names_of(&self, folder: &Path, kind: EntryKind) -> io::Result<Vec<String>> {
        let entries = self.entries(folder)?.into_iter();
        let entries = entries.filter(|entry| entry.kind == kind);
        Ok(entries.map(|entry| entry.name).collect())
    }
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// Options that open a regular file, or fail at once: a link is not followed and a pipe not waited for.
pub(super) fn options() -> OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options
        .mode(FILE_MODE)
        .custom_flags(flags.bits().cast_signed());
    options
}

/// Makes a folder and those that it lies in.
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
        point("disk.create_folder")?;
        create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        point("disk.create")?;
        let mut options = options();
        regular(options.write(true).create(true).truncate(true).open(path)?)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        point("disk.create")?;
        regular(options().write(true).open(path)?)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        // A fault in the middle leaves a part, as a full disk does.
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        file.write_all(head)?;
        point("disk.write")?;
        file.write_all(tail)
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if cfg!(not(feature = "failpoints")) {
            return file.write_all_at(bytes, offset);
        }
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        file.write_all_at(head, offset)?;
        point("disk.write")?;
        file.write_all_at(tail, offset + head.len() as u64)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        point("disk.sync_file")?;
        file.sync_all()
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        point("disk.sync_file")?;
        file.sync_data()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        point("disk.sync_folder")?;
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        point("disk.rename")?;
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        point("disk.remove_file")?;
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        point("disk.remove_folder")?;
        fs::remove_dir_all(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        point("disk.read")?;
        let mut file = regular(options().read(true).open(path)?)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        let mut bytes = Vec::with_capacity(length);
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
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
            // Not the time of the last writing, which a copy can take along.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn identity_of(&self, file: &File) -> io::Result<Identity> {
        let metadata = file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }
}

/// A place where a test can have the disk fail (`return`, `return(full)`) or the process end (`return(abort)`), by the
/// variable FAILPOINTS. Without the feature `failpoints` there is nothing here.
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
