//! What a student is told of one tensor.

use serde::Serialize;

use crate::grade::report::{Grid, Verdict};
use crate::grade::{Mistake, Quantity};

/// How near a tensor is to the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Closeness {
    /// It is right within the tolerance.
    Right,
    /// Every entry is right within 1 %, of itself and of the largest.
    WithinOnePercent,
    /// Neither.
    Wrong,
}

/// An entry that is off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// From 1.
    pub row: usize,
    /// From 1.
    pub column: usize,
    /// What was submitted there.
    pub given: f64,
}

/// The judgement of one tensor. It never holds an entry of the right one, and errors are rounded to two digits, so
/// that the right entries cannot be computed from it either.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorReport {
    /// Which gradient.
    pub quantity: Quantity,
    /// How it was judged.
    pub verdict: Verdict,
    /// How near it is.
    pub closeness: Closeness,
    /// What is wrong, where that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistake: Option<Mistake>,
    /// The judgement in sentences, for the student.
    pub message: String,
    /// The largest |a − b|; absent where shapes differ or an entry is not finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_absolute_error: Option<f64>,
    /// The largest |a − b| / max(|a|, |b|); absent with the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_relative_error: Option<f64>,
    /// The wrong entries that are furthest off, the furthest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<Worst>,
    /// Which entries are right, where the shape is and there are at most 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<Grid>,
}
