//! Fingerprints of values: near misses are found among hundreds by one number each, and then compared in full.

use crate::formula::Matrix;

/// The allowed error of an entry, relative to the largest.
const RELATIVE: f64 = 1e-9;
/// The same where a derivative is taken by differences.
const RELATIVE_APPROXIMATE: f64 = 1e-5;

/// Whether two values are the same within rounding.
pub(super) fn is_same(a: &Matrix, b: &Matrix, approximate: bool) -> bool {
    let tolerance = tolerance(b, approximate);
    a.shape() == b.shape()
        && a.entries()
            .iter()
            .zip(b.entries())
            .all(|(a, b)| (a - b).abs() <= tolerance)
}

fn tolerance(matrix: &Matrix, approximate: bool) -> f64 {
    let relative = if approximate {
        RELATIVE_APPROXIMATE
    } else {
        RELATIVE
    };
    1e-12 + relative * largest(matrix)
}

pub(super) fn largest(matrix: &Matrix) -> f64 {
    let entries = matrix.entries().iter();
    entries.fold(0.0, |largest: f64, entry| largest.max(entry.abs()))
}

/// A sum of the entries with different weights, and the error that rounding may give it.
pub(super) fn print(matrix: &Matrix, approximate: bool) -> (f64, f64) {
    let sum = weighted(matrix);
    let error = 2.0 * tolerance(matrix, approximate) * matrix.entries().len() as f64;
    (sum, error)
}

fn weighted(matrix: &Matrix) -> f64 {
    let entries = matrix.entries().iter().enumerate();
    let weight = |at: usize| 1.0 + (at as f64 * 0.618_033_988_75).fract();
    entries.map(|(at, entry)| weight(at) * entry).sum()
}

/// A print that is the same for all multiples of two values; `None` for zeros.
pub(super) fn ratio_print(first: &Matrix, second: &Matrix) -> Option<f64> {
    let pivot = pivot(first)?;
    let ratio = (weighted(first) + 0.7 * weighted(second)) / first.entries()[pivot];
    ratio.is_finite().then_some(ratio)
}

/// The first entry that is as large as any.
pub(super) fn pivot(matrix: &Matrix) -> Option<usize> {
    let largest = largest(matrix);
    let is_largest = |entry: &f64| entry.abs() >= largest * (1.0 - 1e-6);
    let at = matrix.entries().iter().position(is_largest)?;
    (largest > 0.0 && largest.is_finite()).then_some(at)
}

/// Numbers in order, each with the index of what it belongs to.
#[derive(Default)]
pub(super) struct Sorted(Vec<(f64, usize)>);

impl Sorted {
    pub(super) fn new(mut numbers: Vec<(f64, usize)>) -> Self {
        numbers.retain(|(number, _)| number.is_finite());
        numbers.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Self(numbers)
    }

    /// The indices of the numbers that differ from `number` by no more than `error`.
    pub(super) fn near(&self, number: f64, error: f64) -> impl Iterator<Item = usize> {
        let start = self.0.partition_point(|(own, _)| *own < number - error);
        let near = self.0[start..].iter();
        near.take_while(move |(own, _)| *own <= number + error)
            .map(|(_, at)| *at)
    }
}
