//! Why a dataset cannot be opened, read or uploaded.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use backpropd_engine::fault::Violations;

/// The most violations that a message lists.
const MOST_SHOWN: usize = 5;

/// A file, and why it is not a dataset.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", shown(path))]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// Why it is refused.
    pub fault: Fault,
}

/// Why a file is not a dataset.
#[derive(Debug)]
pub enum Fault {
    /// The file cannot be read.
    Io(io::Error),
    /// The numbers do not fit the memory that they may take, and the format cannot be read in blocks.
    TooLarge {
        /// The size of the numbers, in bytes; at least, where the file does not say.
        bytes: u64,
        /// The most bytes that they may take in memory.
        most: u64,
    },
    /// The content is wrong.
    Invalid {
        /// Everything that was found, each at its line, row and column.
        violations: Violations,
        /// The option that would have the file accepted, if there is one.
        advice: Option<Advice>,
    },
}

/// An option of [`crate::OpenOptions`] that would have a file accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// `regression`: the column to predict holds numbers.
    Regression,
    /// `one_hot`: a feature is text.
    OneHot,
    /// `drop_missing`: a value is missing.
    DropMissing,
}

/// Why rows of an open dataset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not the one that was opened.
    #[error(
        "{}: the file has changed since it was opened; restore it, or open the dataset anew",
        shown(path)
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: {error}", shown(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A row that the dataset does not have.
    #[error("given row {row}, from 0; allowed: rows below {rows}")]
    NoSuchRow {
        /// The given row, from 0.
        row: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A number that is infinite in the requested type.
    #[error(
        "row {row}, column {column} (from 1): {value:?} is too large for float32; compute in float64, or scale the column"
    )]
    NotFinite {
        /// The row, from 1.
        row: usize,
        /// The column, from 1.
        column: usize,
        /// The number as it is stored.
        value: f64,
    },
}

/// Why an upload cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The file cannot be written.
    #[error("{}: {error}", shown(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The dataset that is copied cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The header or a piece is wrong.
    #[error("{0}")]
    Invalid(Violations),
}

impl Fault {
    /// One violation.
    pub(crate) fn one(
        field: impl Into<String>,
        given: impl fmt::Display,
        allowed: impl fmt::Display,
    ) -> Self {
        let mut violations = Violations::new();
        violations.add(field, given, allowed);
        violations.into()
    }

    pub(crate) fn no_memory(bytes: usize) -> Self {
        Self::Io(io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!("no memory for {bytes} bytes"),
        ))
    }

    /// The option that would have the file accepted.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Invalid { advice, .. } => *advice,
            Self::Io(_) | Self::TooLarge { .. } => None,
        }
    }

    pub(crate) fn at(self, path: &Path) -> OpenError {
        OpenError {
            path: path.to_owned(),
            fault: self,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Violations> for Fault {
    fn from(violations: Violations) -> Self {
        Self::Invalid {
            violations,
            advice: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLarge { bytes, most } => write!(
                f,
                "the numbers take {} MiB or more, and {} MiB are allowed in memory; a .safetensors file is read in blocks \
                 instead: convert it with `backpropd datasets convert`",
                bytes >> 20,
                most >> 20
            ),
            Self::Invalid { violations, .. } => {
                for (at, violation) in violations.iter().take(MOST_SHOWN).enumerate() {
                    let separator = if at == 0 { "" } else { "; " };
                    let field = &violation.field;
                    write!(f, "{separator}{field}: {}", violation.description)?;
                }
                // Readers stop at some number of violations, so there can be more than were counted.
                match violations.len().saturating_sub(MOST_SHOWN) {
                    0 => Ok(()),
                    more @ ..10 => write!(f, "; and {more} more"),
                    _ => write!(f, "; and many more"),
                }
            }
        }
    }
}

impl std::error::Error for Fault {}

/// A path as a message shows it: a name can contain bytes that a terminal obeys.
pub(crate) fn shown(path: &Path) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    path.display().to_string().chars().map(visible).collect()
}
