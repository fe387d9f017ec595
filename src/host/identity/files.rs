//! The files of keys and of revoked people: read at the start, and again when they change.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backpropd_identity::{PublicKeys, Revoked, Secrets};

use crate::config::Config;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// A file that was written less than this ago is read again at the next look: a second write within the resolution of its
/// time would leave no trace.
const FRESH: Duration = Duration::from_secs(3);

/// Why the server cannot start with a file.
#[derive(Debug, thiserror::Error)]
#[error("{setting} = {path:?} cannot be used: {why}")]
pub struct KeyFileError {
    setting: &'static str,
    path: PathBuf,
    why: String,
}

/// What tells two states of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    place: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            place: (metadata.dev(), metadata.ino()),
        }
    }

    fn is_fresh(&self) -> bool {
        let age = self.modified.and_then(|it| it.elapsed().ok());
        age.is_none_or(|age| age < FRESH)
    }
}

/// What was read.
#[derive(Default)]
pub(super) struct Loaded {
    pub secrets: Option<Secrets>,
    pub keys: Option<PublicKeys>,
    pub revoked: Option<Revoked>,
    pub warnings: Vec<String>,
}

/// A file that is looked at.
struct Watched {
    setting: &'static str,
    path: PathBuf,
    /// The state at the last look; `None` if the file has to be read in any case.
    seen: Option<Stamp>,
    /// A digest of the content at the last look, so that what is the same is not taken for a change.
    digest: Option<blake3::Hash>,
    /// Why it could not be used at the last look, which the log has been told.
    warned: Option<String>,
}

/// The files that the configuration names.
pub(super) struct Files {
    secrets: Option<Watched>,
    keys: Option<Watched>,
    revoked: Option<Watched>,
}

impl Files {
    pub fn of(config: &Config) -> Self {
        let watched = |setting, path: &String| {
            (!path.is_empty()).then(|| Watched {
                setting,
                path: path.into(),
                seen: None,
                digest: None,
                warned: None,
            })
        };
        Self {
            secrets: watched("auth_secret_file", &config.auth_secret_file),
            keys: watched("auth_jwks_file", &config.auth_jwks_file),
            revoked: watched("auth_revoked_file", &config.auth_revoked_file),
        }
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn load(&mut self) -> Result<Loaded, KeyFileError> {
        fn read<V, E: std::fmt::Display>(
            file: Option<&mut Watched>,
            read: impl Fn(&[u8]) -> Result<V, E>,
        ) -> Result<Option<V>, KeyFileError> {
            let Some(file) = file else { return Ok(None) };
            let read = file.look().and_then(|content| {
                let content = content.unwrap_or_default();
                read(&content).map_err(|error| error.to_string())
            });
            read.map(Some).map_err(|why| KeyFileError {
                setting: file.setting,
                path: file.path.clone(),
                why,
            })
        }
        let warning = self.secrets.as_ref().and_then(|file| {
            let opened = File::open(&file.path).ok()?;
            exposed(
                &opened,
                &file.path,
                "the secret that tokens are signed with",
            )
            .ok()?
        });
        Ok(Loaded {
            secrets: read(self.secrets.as_mut(), Secrets::read)?,
            keys: read(self.keys.as_mut(), PublicKeys::read)?,
            revoked: read(self.revoked.as_mut(), Revoked::read)?,
            warnings: warning.into_iter().collect(),
        })
    }

    /// Reads those that have changed. What cannot be used is left out, with a warning.
    pub fn changed(&mut self) -> Loaded {
        fn read<V, E: std::fmt::Display>(
            file: Option<&mut Watched>,
            warnings: &mut Vec<String>,
            read: impl Fn(&[u8]) -> Result<V, E>,
        ) -> Option<V> {
            let file = file?;
            let read = match file.look() {
                Ok(None) => return None,
                Ok(Some(content)) => read(&content).map_err(|error| error.to_string()),
                Err(why) => Err(why),
            };
            match read {
                Ok(value) => {
                    file.warned = None;
                    Some(value)
                }
                Err(why) => {
                    let (setting, path) = (file.setting, file.path.display());
                    // Another fault than the last one is news.
                    if file.warned.as_ref() != Some(&why) {
                        warnings.push(format!(
                            "{setting} = {path} cannot be used: {why}. What it said before stays in force"
                        ));
                        file.warned = Some(why);
                    }
                    None
                }
            }
        }
        let mut warnings = Vec::new();
        Loaded {
            secrets: read(self.secrets.as_mut(), &mut warnings, Secrets::read),
            keys: read(self.keys.as_mut(), &mut warnings, PublicKeys::read),
            revoked: read(self.revoked.as_mut(), &mut warnings, Revoked::read),
            warnings,
        }
    }
}

impl Watched {
    /// The content, if it is another than at the last look.
    fn look(&mut self) -> Result<Option<Vec<u8>>, String> {
        let looked = self.read_if_changed();
        if looked.is_err() {
            self.seen = None;
            self.digest = None;
        }
        looked.map_err(|error| error.to_string())
    }

    fn read_if_changed(&mut self) -> io::Result<Option<Vec<u8>>> {
        let stamp = Stamp::of(&std::fs::metadata(&self.path)?);
        if self.seen == Some(stamp) {
            return Ok(None);
        }
        let file = File::open(&self.path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut content = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_BYTES {
            let message = format!("it has more than {MAX_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.seen = Some(stamp).filter(|stamp| !stamp.is_fresh());
        let digest = Some(blake3::hash(&content));
        let is_new = std::mem::replace(&mut self.digest, digest) != digest;
        Ok(is_new.then_some(content))
    }
}

/// A warning if accounts other than the owner's can read a file, which holds `what`.
///
/// # Errors
/// The file cannot be examined.
pub fn exposed(file: &File, path: &Path, what: &str) -> io::Result<Option<String>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    Ok((mode & 0o077 != 0).then(|| {
        format!(
            "{} can be read or written by other accounts (mode {mode:o}), and holds {what}: chmod 600 it",
            path.display()
        )
    }))
}
