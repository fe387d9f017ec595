//! Files that are read by offset, and noticed when they change.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::ReadError;

/// A regular file, open for reading. A file that replaces it under its name does not affect it.
#[derive(Debug)]
pub(crate) struct SourceFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What differs after a write: the file, its size, and the time of the last write. Not the time of the last change, which
/// a new name for the file moves as well.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl SourceFile {
    /// Opens a regular file. A named pipe or a device, which may never end, is refused.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // A socket cannot even be opened.
        check(&fs::metadata(path)?)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let metadata = file.metadata()?;
        check(&metadata)?;
        Ok(Self {
            path: path.to_owned(),
            stamp: Stamp::of(&metadata),
            file,
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.stamp.size
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file from its start, to be read in order.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { file: self, at: 0 }
    }

    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), ReadError> {
        match self.file.read_exact_at(bytes, offset) {
            Ok(()) => Ok(()),
            // It was long enough when it was opened.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.changed()),
            Err(error) => Err(self.io(error)),
        }
    }

    /// Has the kernel read these bytes into its cache, without waiting for them. A hint: a failure changes nothing.
    pub(crate) fn will_need(&self, offset: u64, bytes: usize) {
        let bytes = NonZeroU64::new(bytes as u64);
        let _ = rustix::fs::fadvise(&self.file, offset, bytes, rustix::fs::Advice::WillNeed);
    }

    /// Refuses what was read before if the file has changed since it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), ReadError> {
        let metadata = self.file.metadata().map_err(|error| self.io(error))?;
        if Stamp::of(&metadata) == self.stamp {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    fn changed(&self) -> ReadError {
        ReadError::Changed {
            path: self.path.clone(),
        }
    }

    fn io(&self, error: io::Error) -> ReadError {
        ReadError::Io {
            path: self.path.clone(),
            error,
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else if metadata.is_dir() {
        Err(io::Error::other("it is a folder, not a file"))
    } else {
        Err(io::Error::other(
            "it is a pipe, a socket or a device, not a file",
        ))
    }
}

/// A file that is read from a place on.
pub(crate) struct Reader<'a> {
    file: &'a SourceFile,
    at: u64,
}

impl Reader<'_> {
    /// The offset of the next byte.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }
}

impl io::Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.file.read_at(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl io::Seek for Reader<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let place = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::End(by) => self.file.size().checked_add_signed(by),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
