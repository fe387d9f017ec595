//! What a list says of a dataset, which can be told without its file.

use std::sync::Arc;
use std::time::SystemTime;

use backpropd_datasets::Summary;
use serde::{Deserialize, Serialize};

use super::entry::DatasetEntry;
use crate::host::refused::Refused;
use crate::nn::Dtype;
use crate::training::DatasetName;

/// A dataset in a list.
#[derive(Clone, Debug)]
pub struct ListedDataset {
    /// Its name.
    pub name: DatasetName,
    /// When it was created; `None` for a shared one.
    pub created: Option<SystemTime>,
    /// What it is; `None` if that can only be told by reading all of its file.
    pub outline: Option<Outline>,
}

/// The sizes and the type of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// Number of rows.
    pub rows: usize,
    /// Columns of the inputs.
    pub features: usize,
    /// Columns of the targets; 0 with labels.
    pub target_columns: usize,
    /// Number of classes; 0 with targets.
    pub classes: usize,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// The digest of its content.
    pub digest: String,
    /// The size of its numbers, in bytes.
    pub bytes: u64,
}

/// What the store that several nodes share has beside the name of a dataset.
#[derive(Debug, Serialize, Deserialize)]
pub struct About {
    /// When it was created.
    pub created: SystemTime,
    /// What it is.
    pub outline: Outline,
}

impl From<&Summary> for Outline {
    fn from(Summary { header, digest }: &Summary) -> Self {
        Self {
            rows: header.rows,
            features: header.features,
            target_columns: header.truth.target_columns(),
            classes: header.truth.classes(),
            dtype: header.dtype,
            digest: digest.to_string(),
            bytes: header.data_bytes().unwrap_or(u64::MAX),
        }
    }
}

impl ListedDataset {
    /// A dataset of the catalogue.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub async fn of(entry: &Arc<DatasetEntry>) -> Result<Self, Refused> {
        let summary = entry.summary().await?;
        Ok(Self {
            name: entry.name.clone(),
            created: entry.created,
            outline: summary.as_ref().map(Outline::from),
        })
    }
}
