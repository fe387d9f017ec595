//! Reads the file of grading secrets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::identity::exposed;
use crate::grade::receipt;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Grading secrets. The first one seeds and signs; all of them verify.
pub struct Secrets {
    /// The secrets: at least one, none empty or public.
    pub all: Vec<Vec<u8>>,
    /// A warning for the log if other accounts can read the file.
    pub warning: Option<String>,
}

/// Reads the secrets of a file, one a line.
///
/// # Errors
/// The file cannot be read, is too large, or holds no secret.
pub fn read_secrets(path: &Path) -> io::Result<Secrets> {
    let file = File::open(path)?;
    let warning = exposed(&file, path, "the secret that receipts are signed with")?;
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    let invalid = |what: String| {
        let message = format!("{} {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    if content.len() as u64 > MAX_BYTES {
        return Err(invalid(format!("has more than {MAX_BYTES} bytes")));
    }
    let all = receipt::secrets(&content).ok_or_else(|| {
        invalid(format!(
            "holds no secrets: expected 1 to {} lines, none of which is the word \"public\"",
            receipt::MAX_SECRETS
        ))
    })?;
    Ok(Secrets { all, warning })
}
