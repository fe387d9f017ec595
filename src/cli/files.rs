//! Files of unknown origin: submissions, data. Only regular files are read, up to a limit: a named pipe or a device may never
//! end, and a symbolic link in a folder of submissions can lead to a file that its author may not read.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::grade::formats::printable_name;

/// Largest file of answers, report, or description of a network, in bytes.
pub(super) const TEXT_BYTES: u64 = 4 << 20;
/// Largest PDF of a homework, in bytes: pictures make it long.
pub(super) const PDF_BYTES: u64 = 32 << 20;
/// Largest file of numbers, in bytes.
pub(super) const DATA_BYTES: u64 = 1 << 30;

/// Whether a symbolic link is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// For a file that the user names.
    Followed,
    /// For the files in a folder of submissions.
    Refused,
}

/// Reads a file of at most `most` bytes.
pub(super) fn read(path: &Path, most: u64, links: Links) -> Result<Vec<u8>, String> {
    let name = printable_name(&path.display().to_string());
    let problem = |what: &dyn std::fmt::Display| format!("cannot read {name}: {what}");
    check_link(path, links).map_err(|error| problem(&error))?;
    // A socket cannot even be opened.
    let named = fs::metadata(path).ok();
    if let Some(what) = named.and_then(|named| no_file(named.file_type())) {
        return Err(problem(&what));
    }
    let file = open(path, links).map_err(|error| problem(&error))?;
    let metadata = file.metadata().map_err(|error| problem(&error))?;
    if let Some(what) = no_file(metadata.file_type()) {
        return Err(problem(&what));
    }
    let too_long = || problem(&format!("it has more than {most} bytes"));
    if metadata.len() > most {
        return Err(too_long());
    }
    // The file may have grown meanwhile.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    let mut file = file.take(most + 1);
    file.read_to_end(&mut bytes)
        .map_err(|error| problem(&error))?;
    if bytes.len() as u64 > most {
        return Err(too_long());
    }
    Ok(bytes)
}

/// Whether the path leads to a regular file, and by no link that is refused.
pub(super) fn check(path: &Path, links: Links) -> Result<(), String> {
    let name = printable_name(&path.display().to_string());
    let problem = |what: &dyn std::fmt::Display| format!("cannot read {name}: {what}");
    check_link(path, links).map_err(|error| problem(&error))?;
    let named = fs::metadata(path).map_err(|error| problem(&error))?;
    no_file(named.file_type()).map_or(Ok(()), |what| Err(problem(&what)))
}

/// [`read`] for UTF-8.
pub(super) fn read_text(path: &Path, links: Links) -> Result<String, String> {
    String::from_utf8(read(path, TEXT_BYTES, links)?).map_err(|error| {
        let name = printable_name(&path.display().to_string());
        let at = error.utf8_error().valid_up_to();
        format!("cannot read {name}: byte {at} is not UTF-8; save it as UTF-8")
    })
}

/// Opens without blocking, so that a pipe without a writer can be refused.
fn open(path: &Path, links: Links) -> io::Result<File> {
    let mut flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    if links == Links::Refused {
        // Unless the link was created just now.
        flags |= libc::O_NOFOLLOW;
    }
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn check_link(path: &Path, links: Links) -> io::Result<()> {
    if links == Links::Refused && path.symlink_metadata()?.is_symlink() {
        return Err(io::Error::other(
            "it is a symbolic link; hand in the file itself",
        ));
    }
    Ok(())
}

/// The kind of something that is not a regular file.
fn no_file(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("it is a folder, not a file")
    } else if kind.is_fifo() {
        Some("it is a named pipe, not a file")
    } else if kind.is_socket() {
        Some("it is a socket, not a file")
    } else {
        Some("it is a device, not a file")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_files_are_read_and_only_up_to_the_limit() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("five"), "12345").expect("writable");
        symlink(path("five"), path("link")).expect("a link");
        symlink("/dev/zero", path("zero")).expect("a link");
        let refused = |name: &str, links| read(&path(name), 5, links).expect_err("refused");
        assert_eq!(
            read(&path("five"), 5, Links::Refused).expect("read"),
            b"12345"
        );
        assert_eq!(
            read(&path("link"), 5, Links::Followed).expect("read"),
            b"12345"
        );
        assert!(read(&path("five"), 4, Links::Followed).is_err());
        assert!(refused("link", Links::Refused).contains("symbolic link"));
        assert!(refused("zero", Links::Followed).contains("device"));
        assert!(refused("zero", Links::Refused).contains("symbolic link"));
        let _socket = UnixListener::bind(path("socket")).expect("it can be made");
        for links in [Links::Followed, Links::Refused] {
            assert!(refused("socket", links).contains("it is a socket, not a file"));
        }
        assert!(refused("", Links::Followed).contains("folder"));
        assert!(refused("none", Links::Refused).contains("cannot read"));
    }
}
