//! Where the samples of a run come from: a batch in memory, or rows that are fetched for each step.

use std::fmt::{self, Debug};

use super::{Batch, BatchRef, MinibatchBuffers};

/// Samples that steps draw mini-batches from. They never change.
pub trait Samples<T>: Debug + Send + Sync {
    /// m.
    fn rows(&self) -> usize;

    /// All samples, if they are in memory in this type and in order.
    fn whole(&self) -> Option<BatchRef<'_, T>>;

    /// Appends these rows, counted from 0, to the buffers.
    ///
    /// # Errors
    /// The rows cannot be fetched.
    fn fetch(&self, rows: &[usize], into: &mut MinibatchBuffers<T>) -> Result<(), SamplesError>;

    /// Announces rows that a later [`Self::fetch`] will ask for.
    fn announce(&self, _rows: &[usize]) {}
}

/// Why samples cannot be fetched. A run that meets it ends after its last whole step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplesError(pub String);

impl fmt::Display for SamplesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SamplesError {}

impl<T: super::Scalar> Samples<T> for Batch<T> {
    fn rows(&self) -> usize {
        Self::rows(self)
    }

    fn whole(&self) -> Option<BatchRef<'_, T>> {
        Some(self.view())
    }

    fn fetch(&self, rows: &[usize], into: &mut MinibatchBuffers<T>) -> Result<(), SamplesError> {
        into.extend(self.view(), rows);
        Ok(())
    }
}
