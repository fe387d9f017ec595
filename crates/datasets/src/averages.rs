//! Means and deviations of the columns of a dataset.

use crate::dataset::Dataset;
use crate::error::ReadError;
use crate::numbers::BLOCK_BYTES;
use crate::standardization::{Moments, Standardization};
use crate::truth::TruthRows;

impl Standardization {
    /// The constants of these rows of `dataset`, such as the training part of a split: the held-out part must not influence
    /// them. Two passes in `f64`, in blocks.
    ///
    /// # Errors
    /// The file of the dataset cannot be read, or has changed.
    pub fn of(dataset: &Dataset, rows: &[usize]) -> Result<Self, ReadError> {
        let features = dataset.features();
        let outputs = dataset.truth().target_columns();
        let mean = column_averages(dataset, rows, |_, _, value| value)?;
        let variance = column_averages(dataset, rows, |is_target, column, value| {
            let means = if is_target { &mean.1 } else { &mean.0 };
            (value - means[column]).powi(2)
        })?;
        debug_assert_eq!((mean.0.len(), mean.1.len()), (features, outputs));
        Ok(Self {
            inputs: Moments::new(mean.0, variance.0),
            targets: (outputs > 0).then(|| Moments::new(mean.1, variance.1)),
        })
    }
}

/// The average of `of(is target, column, value)` in each column of inputs and of targets.
#[allow(clippy::cast_precision_loss, reason = "counts of rows")]
fn column_averages(
    dataset: &Dataset,
    rows: &[usize],
    of: impl Fn(bool, usize, f64) -> f64,
) -> Result<(Vec<f64>, Vec<f64>), ReadError> {
    let (features, outputs) = (dataset.features(), dataset.truth().target_columns());
    let mut sums = (vec![0.0; features], vec![0.0; outputs]);
    let block = (BLOCK_BYTES / 8 / (features + outputs).max(1)).max(1);
    let (mut inputs, mut truth) = (Vec::new(), TruthRows::<f64>::default());
    for rows in rows.chunks(block) {
        inputs.clear();
        truth.clear();
        dataset.copy_rows(rows, false, &mut inputs, &mut truth)?;
        for row in inputs.chunks_exact(features) {
            for (column, (sum, value)) in sums.0.iter_mut().zip(row).enumerate() {
                *sum += of(false, column, *value);
            }
        }
        for row in truth.targets.chunks_exact(outputs.max(1)) {
            for (column, (sum, value)) in sums.1.iter_mut().zip(row).enumerate() {
                *sum += of(true, column, *value);
            }
        }
    }
    let count = rows.len().max(1) as f64;
    let averages = |sums: Vec<f64>| sums.into_iter().map(|sum| sum / count).collect();
    Ok((averages(sums.0), averages(sums.1)))
}
