//! What a store does to a disk, step by step: each is one that a crash can come before or after, and that can fail.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use fail::fail_point;

/// A file system, as far as a store uses one.
pub trait Disk {
    /// A file that is being written.
    type File;

    /// Makes a folder, and those that it lies in.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes an empty file, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Adds bytes, which a crash can lose.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Writes over bytes that are there, which a crash can keep in part.
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
    /// All of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The names in a folder, sorted.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Whether something has this name.
    fn exists(&self, path: &Path) -> bool;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        point("disk.create_folder")?;
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        point("disk.create")?;
        File::create(path)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        // A fault in the middle leaves a part, as a full disk does.
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        file.write_all(head)?;
        point("disk.write")?;
        file.write_all(tail)
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
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
        fs::read(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// A place where a test can have the disk fail (`return`, `return(full)`) or the process end (`return(abort)`), by the
/// variable FAILPOINTS. Without the feature `failpoints` there is nothing here.
fn point(name: &str) -> io::Result<()> {
    fail_point!(name, |action: Option<String>| match action.as_deref() {
        Some("abort") => std::process::abort(),
        Some("full") => Err(io::ErrorKind::StorageFull.into()),
        Some(_) | None => Err(io::Error::other(format!("failpoint {name}"))),
    });
    // Names a point that is not there in a normal build.
    let _ = name;
    Ok(())
}
