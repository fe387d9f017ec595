//! Compares a submitted tensor with the right one.

use super::report::{Closeness, TensorReport, Worst};
use super::submitted::SubmittedTensor;
use crate::grade::Tolerance;
use crate::grade::pass::Tensor;
use crate::grade::report::{Grid, Verdict};

/// Larger tensors get no grid, which would be unreadable.
const MOST_GRID_ENTRIES: usize = 4096;
/// How many of the entries with the largest errors to show.
const WORST: usize = 5;
/// Larger tensors are graded without a search for their mistake.
pub(super) const MOST_NAMED_ENTRIES: usize = 1 << 20;
/// The most entries whose decimals are examined to recognize single precision.
const MOST_DECIMALS: usize = 1000;

/// The result of comparing a tensor.
pub(super) struct Comparison {
    /// The accepted gradient it was compared with: the one with most entries right.
    accepted: usize,
    /// The right entries; empty if shapes differ.
    right: Vec<bool>,
    count: usize,
    /// Whether every number is an `f32`.
    single: bool,
    finite: bool,
}

/// A [`Comparison`] with the numbers that were compared.
#[derive(Clone, Copy)]
pub(super) struct TensorComparison<'a> {
    pub(super) given: &'a SubmittedTensor,
    pub(super) expected: &'a Tensor,
    comparison: &'a Comparison,
}

impl Comparison {
    /// Compares with one of the accepted gradients.
    pub(super) fn new(
        given: &SubmittedTensor,
        (accepted, expected): (usize, &Tensor),
        tolerance: Tolerance,
    ) -> Self {
        let right = if given.shape == expected.shape {
            tolerance.right(&given.values, &expected.values)
        } else {
            Vec::new()
        };
        Self {
            accepted,
            count: right.iter().filter(|&&right| right).count(),
            right,
            single: given.values.len() <= MOST_NAMED_ENTRIES && all_single(&given.values),
            finite: given.values.iter().all(|value| value.is_finite()),
        }
    }

    /// The index of the accepted gradient.
    pub(super) fn accepted(&self) -> usize {
        self.accepted
    }

    /// Whether it fits the tensor better than `other`, which came first.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        self.count > other.count
    }
}

impl<'a> TensorComparison<'a> {
    pub(super) fn new(
        given: &'a SubmittedTensor,
        expected: &'a Tensor,
        comparison: &'a Comparison,
    ) -> Self {
        Self {
            given,
            expected,
            comparison,
        }
    }

    /// The number of right entries.
    pub(super) fn count(&self) -> usize {
        self.comparison.count
    }

    /// Whether every number is an `f32`.
    pub(super) fn single(&self) -> bool {
        self.comparison.single
    }

    pub(super) fn has_right_shape(&self) -> bool {
        self.given.shape == self.expected.shape
    }

    pub(super) fn is_right(&self) -> bool {
        let entries = self.comparison.right.len();
        self.has_right_shape() && entries > 0 && self.count() == entries
    }

    pub(super) fn is_finite(&self) -> bool {
        self.comparison.finite
    }

    /// The row and the column of an entry, from 1; a vector is one row.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let columns = self.columns();
        (at / columns + 1, at % columns + 1)
    }

    fn columns(&self) -> usize {
        self.expected.shape.last().copied().unwrap_or(1).max(1)
    }

    /// How close it is to one of the tensors that are `right`.
    pub(super) fn closeness(&self, mut right: impl Iterator<Item = &'a Tensor>) -> Closeness {
        let near = |right: &Tensor| {
            Tolerance::FINITE_DIFFERENCE.accepts(&self.given.values, &right.values)
        };
        if self.is_right() {
            Closeness::Right
        } else if self.has_right_shape() && self.is_finite() && right.any(near) {
            Closeness::WithinOnePercent
        } else {
            Closeness::Wrong
        }
    }

    /// The verdict alone.
    pub(super) fn verdict(&self, closeness: Closeness) -> TensorReport {
        TensorReport {
            quantity: self.given.quantity,
            verdict: if self.is_right() {
                Verdict::Correct
            } else {
                Verdict::Incorrect
            },
            closeness,
            mistake: None,
            message: "Right.".to_owned(),
            largest_absolute_error: None,
            largest_relative_error: None,
            worst: Vec::new(),
            grid: None,
        }
    }

    /// The report with all errors, without a mistake and its message.
    pub(super) fn report(&self, closeness: Closeness) -> TensorReport {
        let mut report = self.verdict(closeness);
        if !self.has_right_shape() {
            return report;
        }
        if self.is_finite() {
            report.largest_absolute_error = Some(self.largest(|a, b| (a - b).abs()));
            report.largest_relative_error = Some(self.largest(relative_error));
        }
        report.worst = self.worst();
        let right = &self.comparison.right;
        report.grid = (right.len() <= MOST_GRID_ENTRIES).then(|| Grid {
            rows: right.len() / self.columns(),
            columns: self.columns(),
            right: right.clone(),
        });
        report
    }

    fn largest(&self, error: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.given.values.iter().zip(&self.expected.values);
        two_digits(pairs.fold(0.0, |top: f64, (&a, &b)| top.max(error(a, b))))
    }

    fn worst(&self) -> Vec<Worst> {
        let error = |at: usize| {
            let error = (self.given.values[at] - self.expected.values[at]).abs();
            if error.is_nan() { f64::INFINITY } else { error }
        };
        let right = self.comparison.right.iter().enumerate();
        let mut worst: Vec<(f64, usize)> = Vec::with_capacity(WORST + 1);
        for (at, _) in right.filter(|(_, right)| !**right) {
            let error = error(at);
            let place = worst.partition_point(|(larger, _)| *larger >= error);
            if place < WORST {
                worst.insert(place, (error, at));
                worst.truncate(WORST);
            }
        }
        let entry = |(_, at): (f64, usize)| {
            let (row, column) = self.place(at);
            let given = self.given.values[at];
            Worst { row, column, given }
        };
        worst.into_iter().map(entry).collect()
    }
}

fn relative_error(a: f64, b: f64) -> f64 {
    let larger = a.abs().max(b.abs());
    if larger == 0.0 {
        0.0
    } else {
        (a - b).abs() / larger
    }
}

/// A number rounded to its order of magnitude and two digits.
fn two_digits(number: f64) -> f64 {
    format!("{number:.1e}").parse().unwrap_or(number)
}

/// Whether all are `f32` numbers, exactly or as their shortest decimals; of those that are not exact, only the first
/// thousand are examined.
fn all_single(values: &[f64]) -> bool {
    let is_exact = |value: f64| value == f64::from(value as f32);
    let is_decimal = |value: f64| (value as f32).to_string().parse() == Ok(value);
    let mut decimals = values.iter().filter(|&&value| !is_exact(value));
    decimals
        .by_ref()
        .take(MOST_DECIMALS)
        .all(|&value| is_decimal(value))
}
