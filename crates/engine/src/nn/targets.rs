//! The desired outputs, without a bound on [`Scalar`](super::Scalar), whose supertrait names them.

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
