//! Rows of a dataset in a request.

use super::batch::BatchParts;
use super::tensor::TensorParts;
use crate::training::{DatasetName, Selection};

/// Rows of a dataset, not yet looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetRows {
    /// The dataset.
    pub name: DatasetName,
    /// The selected rows. A range without an end ends at `usize::MAX`.
    pub selection: Selection,
    /// Whether to standardize them.
    pub standardize: bool,
}

/// The samples of a call.
pub enum SamplesParts {
    /// In the request.
    Sent(BatchParts),
    /// Rows of a dataset.
    Dataset(DatasetRows),
}

impl DatasetRows {
    /// Adds what was asked for to a fingerprint.
    pub fn update(&self, hasher: &mut blake3::Hasher) {
        let (kind, numbers) = match self.selection {
            Selection::All => (0, [0; 3]),
            Selection::Range { start, end } => (1, [start as u64, end as u64, 0]),
            Selection::Split {
                held_out,
                seed,
                is_held_out,
            } => {
                let numbers = [
                    held_out.to_bits(),
                    seed.cast_unsigned(),
                    u64::from(is_held_out),
                ];
                (2, numbers)
            }
        };
        hasher.update(&[kind, u8::from(self.standardize)]);
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        let name = self.name.to_string();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
}

impl SamplesParts {
    /// Adds what was sent to a fingerprint.
    pub fn update(&self, hasher: &mut blake3::Hasher) {
        match self {
            Self::Dataset(rows) => {
                hasher.update(b"dataset");
                rows.update(hasher);
            }
            Self::Sent(batch) => {
                hasher.update(b"batch");
                batch.update(hasher);
            }
        }
    }

    /// The inputs in the request.
    pub fn inputs(&self) -> Option<&TensorParts> {
        match self {
            Self::Sent(batch) => Some(&batch.inputs),
            Self::Dataset(_) => None,
        }
    }

    /// The rows of a dataset.
    pub fn dataset(&self) -> Option<&DatasetRows> {
        match self {
            Self::Sent(_) => None,
            Self::Dataset(rows) => Some(rows),
        }
    }

    /// The number of entries in the request.
    pub fn entries(&self) -> u64 {
        match self {
            Self::Sent(batch) => batch.entries(),
            Self::Dataset(_) => 0,
        }
    }
}
