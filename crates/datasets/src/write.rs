//! Writing a dataset of any format in the canonical one.

use std::path::Path;

use backpropd_engine::nn::{Dtype, Scalar};

use crate::dataset::Dataset;
use crate::digest::ContentDigest;
use crate::error::UploadError;
use crate::header::UploadHeader;
use crate::numbers::BLOCK_BYTES;
use crate::truth::TruthRows;
use crate::upload::Upload;

impl Dataset {
    /// Writes the canonical form, of the same digest.
    ///
    /// # Errors
    /// The file cannot be written, or this one not read.
    pub fn write(&self, path: &Path) -> Result<ContentDigest, UploadError> {
        match self.dtype() {
            Dtype::Float32 => self.write_of::<f32>(path),
            Dtype::Float64 => self.write_of::<f64>(path),
        }
    }

    fn write_of<T: Scalar>(&self, path: &Path) -> Result<ContentDigest, UploadError> {
        let mut upload = Upload::create(
            path,
            UploadHeader {
                rows: self.rows(),
                features: self.features(),
                dtype: self.dtype(),
                truth: self.truth().clone(),
                standardization: self.standardization().cloned(),
                encoding: self.encoding().cloned(),
                note: None,
            },
        )?;
        let columns = self.features() + self.truth().target_columns();
        let block = (BLOCK_BYTES / (columns * size_of::<T>())).max(1);
        let (mut inputs, mut truth) = (Vec::new(), TruthRows::<T>::default());
        let all: Vec<usize> = (0..self.rows()).collect();
        for rows in all.chunks(block) {
            inputs.clear();
            truth.clear();
            self.copy_rows(rows, false, &mut inputs, &mut truth)?;
            upload.inputs(bytemuck::cast_slice(&inputs))?;
            upload.labels(&truth.labels)?;
            upload.targets(bytemuck::cast_slice(&truth.targets))?;
        }
        upload.finish()
    }
}
