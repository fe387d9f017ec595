//! What the server grades with: its assignments, and the secrets that receipts are signed and digests hidden by.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::assignments::{AssignmentsError, load_graders};
use super::secrets::read_secrets;
use super::veil::{InlineTries, Veil};
use crate::config::Config;
use crate::grade::receipt::Keys;
use crate::grade::{Grader, Reveal};

/// Why the server cannot grade.
#[derive(Debug, thiserror::Error)]
pub enum GradingDeskError {
    /// The assignments could not be read or prepared.
    #[error(transparent)]
    Assignments(#[from] AssignmentsError),
    /// The grading secret could not be read or drawn.
    #[error("cannot load the grading secret: {0}. Check `grading_secret_file`")]
    Secret(#[source] io::Error),
}

/// The assignments, and what signs receipts and hides digests.
pub struct GradingDesk {
    pub graders: Vec<Arc<Grader>>,
    pub keys: Option<Keys>,
    pub most: Reveal,
    /// How COMPARE_ONLY models are shown.
    pub veil: Veil,
    /// Tries against networks sent along.
    pub inline_tries: InlineTries,
}

impl GradingDesk {
    /// Reads the assignments and the secrets that the configuration names.
    pub fn start(config: &Config) -> Result<Self, GradingDeskError> {
        let secrets = secrets(&config.grading_secret_file).map_err(GradingDeskError::Secret)?;
        let first = secrets.first().map_or(&[][..], Vec::as_slice);
        let folder =
            Some(Path::new(&config.assignments)).filter(|folder| !folder.as_os_str().is_empty());
        let graders = load_graders(folder, first)?;
        Ok(Self {
            graders: graders.into_iter().map(Arc::new).collect(),
            keys: Keys::new(&secrets),
            // The configuration allows these words alone.
            most: Reveal::from_word(&config.reveal_limit).unwrap_or(Reveal::Hints),
            veil: Veil::new(first, config.compare_only),
            inline_tries: InlineTries::default(),
        })
    }
}

#[cfg(test)]
impl GradingDesk {
    /// A desk without an assignment: preparing those takes longer than most tests.
    pub fn empty() -> Self {
        Self {
            graders: Vec::new(),
            keys: None,
            most: Reveal::Hints,
            veil: Veil::new(b"test", false),
            inline_tries: InlineTries::default(),
        }
    }
}

/// The file's secrets, or one of 256 random bits.
fn secrets(file: &str) -> io::Result<Vec<Vec<u8>>> {
    if file.is_empty() {
        let mut bits = vec![0; 32];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        return Ok(vec![bits]);
    }
    let secrets = read_secrets(Path::new(file))?;
    if let Some(warning) = secrets.warning {
        tracing::warn!("grading_secret_file: {warning}");
    }
    Ok(secrets.all)
}
