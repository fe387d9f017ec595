//! Rows without what to predict of them.

use backpropd_engine::nn::Scalar;

use crate::error::ReadError;
use crate::standardization::Moments;
use crate::table::Table;

/// Inputs to predict from.
#[derive(Clone, Debug)]
pub struct Inputs {
    table: Table,
    dropped_rows: usize,
}

impl Inputs {
    pub(crate) fn new(table: Table, dropped_rows: usize) -> Self {
        Self {
            table,
            dropped_rows,
        }
    }

    /// The number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.table.rows
    }

    /// The number of inputs of each row, at least 1.
    pub fn features(&self) -> usize {
        self.table.columns
    }

    /// How many rows were left out because a value was missing.
    pub fn dropped_rows(&self) -> usize {
        self.dropped_rows
    }

    /// Appends `rows`, from 0, converted to `T`, and standardized by `moments` in `f64` before that.
    ///
    /// # Errors
    /// As [`crate::Dataset::copy_rows`].
    pub fn copy_rows<T: Scalar>(
        &self,
        rows: &[usize],
        moments: Option<&Moments>,
        out: &mut Vec<T>,
    ) -> Result<(), ReadError> {
        self.table.copy_rows(rows, moments, out)
    }
}
