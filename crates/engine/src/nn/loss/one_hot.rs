//! Labels as targets: the entries of a one-hot row.

use super::super::{Scalar, TargetsRef};

impl<T: Scalar> TargetsRef<'_, T> {
    /// y_{k,j} of n outputs, one-hot for labels (for a single output, the label itself).
    pub(in super::super) fn entry(self, k: usize, j: usize, n: usize) -> T {
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
