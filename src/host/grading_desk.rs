//! Grading state of the server: the assignments, and the secrets that sign receipts and key weight digests.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::assignments::{AssignmentsError, load_graders};
use super::grading_counts::GradingCounts;
use super::secrets::read_secrets;
use super::veil::{InlineTries, Veil};
use crate::config::Config;
use crate::grade::receipt::Keys;
use crate::grade::{Grader, Reveal};

/// Why the server cannot grade.
#[derive(Debug, thiserror::Error)]
pub enum GradingDeskError {
    /// The assignments could not be loaded.
    #[error(transparent)]
    Assignments(#[from] AssignmentsError),
    /// The grading secret could not be read or generated.
    #[error("cannot load the grading secret: {0}. Check `grading_secret_file`")]
    Secret(#[source] io::Error),
}

/// The assignments, and the secrets that sign receipts and key digests.
pub struct GradingDesk {
    pub graders: Vec<Arc<Grader>>,
    pub keys: Option<Keys>,
    /// Time of grading in seconds since 1970, if it is not the clock's.
    pub time: Option<u64>,
    pub most: Reveal,
    /// Decides which models are COMPARE_ONLY and what replies show of them.
    pub veil: Veil,
    /// Counts comparisons with inline networks, which belong to no session.
    pub inline_tries: InlineTries,
    /// The verdicts and mistakes of each question.
    pub counts: GradingCounts,
}

impl GradingDesk {
    /// Loads the assignments and secrets named in the configuration.
    pub fn start(config: &Config) -> Result<Self, GradingDeskError> {
        let secrets = secrets(&config.grading_secret_file).map_err(GradingDeskError::Secret)?;
        let first = secrets.first().map_or(&[][..], Vec::as_slice);
        let folder =
            Some(Path::new(&config.assignments)).filter(|folder| !folder.as_os_str().is_empty());
        let graders = load_graders(folder, first)?;
        Ok(Self {
            graders: graders.into_iter().map(Arc::new).collect(),
            keys: Keys::new(&secrets),
            time: Some(config.grade_time).filter(|time| *time != 0),
            // The configuration accepts only these words.
            most: Reveal::from_word(&config.reveal_limit).unwrap_or(Reveal::Hints),
            veil: Veil::new(first, config.compare_only),
            inline_tries: InlineTries::default(),
            counts: GradingCounts::default(),
        })
    }
}

impl GradingDesk {
    /// A desk without assignments, for a host without clients: preparing them takes longer than most tests.
    pub fn empty() -> Self {
        Self {
            graders: Vec::new(),
            keys: None,
            time: None,
            most: Reveal::Hints,
            veil: Veil::new(b"no secret", false),
            inline_tries: InlineTries::default(),
            counts: GradingCounts::default(),
        }
    }
}

/// Reads the secrets in the file; without a file, generates one of 256 random bits.
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
