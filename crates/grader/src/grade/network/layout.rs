//! How a course lays its matrices out: samples as rows or columns, weights by outputs × inputs or the reverse.
//!
//! The engine, and [`super::Network`] inside, have samples as rows and weights of outputs × inputs. A course with another
//! convention sees the transposes.

use serde::Deserialize;

use crate::formula::{Matrix, Symbol};

/// Where the samples of a batch are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Samples {
    /// x is m × n₀, and b is a row.
    #[default]
    Rows,
    /// x is n₀ × m, and b is a column.
    Columns,
}

/// The shape of the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightShape {
    /// Wⁱ is nᵢ × nᵢ₋₁: z = h Wᵀ with samples as rows, z = W h with samples as columns.
    #[default]
    OutputsByInputs,
    /// Wⁱ is nᵢ₋₁ × nᵢ: z = h W with samples as rows, z = Wᵀ h with samples as columns.
    InputsByOutputs,
}

/// The convention of a course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Where the samples are.
    pub samples: Samples,
    /// The shape of the weights.
    pub weights: WeightShape,
}

impl Layout {
    /// Whether the course writes the transpose of what the engine has.
    pub(in crate::grade) fn transposes(self, symbol: Symbol) -> bool {
        match symbol {
            Symbol::Weights(_) => self.weights == WeightShape::InputsByOutputs,
            Symbol::Bias(_)
            | Symbol::PreActivation(_)
            | Symbol::Activation(_)
            | Symbol::Targets
            | Symbol::Delta
            | Symbol::SampleLoss => self.samples == Samples::Columns,
            Symbol::Loss
            | Symbol::BatchSize
            | Symbol::Units(_)
            | Symbol::Argument
            | Symbol::Constant(_) => false,
        }
    }
}

/// For each entry of the transpose of a matrix of this shape, row by row, its place in the matrix itself.
pub(super) fn places_of_transpose((rows, columns): (usize, usize)) -> impl Iterator<Item = usize> {
    (0..columns).flat_map(move |column| (0..rows).map(move |row| row * columns + column))
}

/// The matrix with its rows in this order.
pub(super) fn rows_in_order(matrix: &Matrix, order: impl Iterator<Item = usize>) -> Matrix {
    let columns = matrix.columns();
    let entries = order.flat_map(|row| matrix.entries()[row * columns..][..columns].to_vec());
    Matrix::new(matrix.rows(), columns, entries.collect())
}
