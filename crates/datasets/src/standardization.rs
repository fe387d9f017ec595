//! Means and deviations of columns, by which they become comparable.

use serde::{Deserialize, Serialize};

/// Constants by which inputs, and the targets of a regression, are standardized: x becomes (x − mean) / deviation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardization {
    /// Of the inputs.
    pub inputs: Moments,
    /// Of the targets; `None` for labels, or where targets stay as they are.
    pub targets: Option<Moments>,
}

/// The mean and the deviation of each column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Means, an entry for each column.
    pub means: Vec<f64>,
    /// Deviations, an entry for each column: positive. A constant column has deviation 1, so that it becomes 0.
    pub deviations: Vec<f64>,
}

impl Standardization {
    /// Whether the constants fit these columns, and can be divided by.
    pub(crate) fn fits(&self, features: usize, outputs: usize) -> bool {
        let targets_fit = match &self.targets {
            Some(targets) => outputs > 0 && targets.fits(outputs),
            None => true,
        };
        self.inputs.fits(features) && targets_fit
    }
}

impl Moments {
    pub(crate) fn new(means: Vec<f64>, variances: Vec<f64>) -> Self {
        let deviation = |(variance, mean): (f64, &f64)| {
            // Rounding leaves some variance in a constant column.
            if variance.sqrt() > 1e-12 * mean.abs() {
                variance.sqrt()
            } else {
                1.0
            }
        };
        Self {
            deviations: variances.into_iter().zip(&means).map(deviation).collect(),
            means,
        }
    }

    fn fits(&self, columns: usize) -> bool {
        self.means.len() == columns
            && self.deviations.len() == columns
            && self.means.iter().all(|mean| mean.is_finite())
            && self
                .deviations
                .iter()
                .all(|deviation| *deviation > 0.0 && deviation.is_finite())
    }
}
