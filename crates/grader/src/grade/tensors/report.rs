//! The report on one tensor.

use serde::Serialize;

use crate::grade::report::{Grid, Verdict};
use crate::grade::{Mistake, Quantity};

/// How close a tensor is to the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Closeness {
    /// Right within the tolerance.
    Right,
    /// Every entry is right within 1 % of itself and of the largest.
    WithinOnePercent,
    /// Neither.
    Wrong,
}

/// A wrong entry.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// From 1.
    pub row: usize,
    /// From 1.
    pub column: usize,
    /// The submitted number.
    pub given: f64,
}

/// The grading of one tensor. It contains no entry of the right tensor, and errors are rounded to two digits, so that
/// the right entries cannot be derived from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorReport {
    /// The gradient.
    pub quantity: Quantity,
    /// The verdict.
    pub verdict: Verdict,
    /// How close it is.
    pub closeness: Closeness,
    /// The mistake, if one was recognized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistake: Option<Mistake>,
    /// The feedback for the student, in sentences.
    pub message: String,
    /// The largest |a − b|; absent if shapes differ or an entry is not finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_absolute_error: Option<f64>,
    /// The largest |a − b| / max(|a|, |b|); absent with the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_relative_error: Option<f64>,
    /// The wrong entries with the largest errors, in decreasing order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<Worst>,
    /// The right entries, if the shape is right and there are at most 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<Grid>,
}
