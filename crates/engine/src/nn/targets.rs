//! What the outputs are compared with.

use super::Scalar;
use super::slices::take;

/// The desired outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets<T> {
    /// m × n_L values, row-major.
    Values(Vec<T>),
    /// One class for each sample, counted from 0.
    Labels(Vec<u32>),
}

/// A view of [`Targets`].
#[derive(Clone, Copy, Debug)]
pub enum TargetsRef<'a, T> {
    /// m × n_L values, row-major.
    Values(&'a [T]),
    /// One class for each sample, counted from 0.
    Labels(&'a [u32]),
}

impl<T> TargetsRef<'_, T> {
    /// Splits the targets of the first `rows` samples, of `n` outputs each, off these.
    pub(super) fn take_rows(&mut self, rows: usize, n: usize) -> Self {
        match self {
            Self::Values(values) => Self::Values(take(values, rows * n)),
            Self::Labels(labels) => Self::Labels(take(labels, rows)),
        }
    }
}

impl<T: Scalar> TargetsRef<'_, T> {
    /// y_{k,j} of n outputs, one-hot for labels (for a single output, the label itself).
    pub(super) fn entry(self, k: usize, j: usize, n: usize) -> T {
        match self {
            Self::Values(y) => y[k * n + j],
            Self::Labels(labels) => {
                let hit = if n == 1 {
                    labels[k] == 1
                } else {
                    labels[k] as usize == j
                };
                if hit { T::ONE } else { T::ZERO }
            }
        }
    }
}
