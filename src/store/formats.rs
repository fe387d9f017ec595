//! Checks that the program can read the format of every file before anything in the folder is changed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::disk::{Entry, EntryKind};
use super::models::CURRENT;
use super::sessions::SESSION_FILE;
use super::survey::Survey;
use super::{SESSIONS, StoreError};

/// The longest header that is read, in bytes: a file that claims a longer one counts as damaged.
const LONGEST_HEADER: u64 = 100_000_000;

/// Knowledge of formats, passed in by the owner of the contents; the store itself does not interpret them.
#[derive(Clone, Copy, Debug)]
pub struct Formats {
    /// The version in the first bytes of a model's file or of a commit in the log, if it is unknown.
    pub unknown_model: fn(&[u8]) -> Option<u32>,
    /// Whether a model's file of any version is undamaged.
    pub is_sound: fn(&[u8]) -> bool,
    /// The version in a session's record, if the record is undamaged and the version unknown.
    pub unknown_session: fn(&[u8], &str) -> Option<u32>,
}

impl Formats {
    /// Accepts every format.
    pub const ANY: Self = Self {
        unknown_model: |_| None,
        is_sound: |_| true,
        unknown_session: |_, _| None,
    };

    /// Checks every session and model in the folder.
    ///
    /// # Errors
    /// A file of an unknown version. Unreadable files are reported later.
    pub(super) fn check(&self, root: &Path, survey: &Survey) -> Result<(), StoreError> {
        for (id, files) in &survey.sessions {
            let folder = root.join(SESSIONS).join(id);
            for Entry { name, kind } in files {
                // Opening a pipe could block, and a link may lead anywhere.
                if *kind != EntryKind::File {
                    continue;
                }
                let path = folder.join(name);
                let version = if name == SESSION_FILE {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    (self.unknown_session)(&bytes, id)
                } else if name.ends_with(CURRENT) {
                    self.unknown_in(&path)
                } else {
                    None
                };
                if let Some(version) = version {
                    return Err(StoreError::UnknownFormat { path, version });
                }
            }
        }
        Ok(())
    }

    /// The version of a model's file, if it is unknown and the file undamaged.
    fn unknown_in(&self, path: &Path) -> Option<u32> {
        let version = (self.unknown_model)(&header(path).ok()?)?;
        // A flipped bit in the version is damage, which costs one model, not the startup.
        let whole = std::fs::read(path).ok()?;
        (self.is_sound)(&whole).then_some(version)
    }
}

/// The first bytes of a safetensors file, up to the end of its header.
fn header(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let most = LONGEST_HEADER.min(file.metadata()?.len());
    let mut start = length.to_vec();
    let bytes = u64::from_le_bytes(length).min(most);
    file.take(bytes).read_to_end(&mut start)?;
    Ok(start)
}
