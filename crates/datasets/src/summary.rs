//! What a dataset is, without its rows.

use crate::dataset::Dataset;
use crate::digest::ContentDigest;
use crate::header::UploadHeader;

/// What a dataset is, without its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its sizes, its types and its constants.
    pub header: UploadHeader,
    /// The digest of its content.
    pub digest: ContentDigest,
}

impl Dataset {
    /// What it is.
    pub fn summary(&self) -> Summary {
        Summary {
            header: UploadHeader {
                rows: self.rows(),
                features: self.features(),
                dtype: self.dtype(),
                truth: self.truth().clone(),
                standardization: self.standardization().cloned(),
                encoding: self.encoding().cloned(),
                note: None,
            },
            digest: self.digest(),
        }
    }
}
