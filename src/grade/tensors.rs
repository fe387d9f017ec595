//! Gradients that somebody's code computed, against the right ones.
//!
//! [`References`] computes the right gradients with the engine; [`grade_tensors`] compares and, where a tensor is
//! wrong, computes the wrong gradients of common mistakes to name the one that was made.

mod check;
mod constant;
mod naming;
mod quantity;

pub use quantity::Quantity;

use serde::Serialize;

use super::report::{Grid, Verdict};
use super::tensor_mistakes::{Gradients, Kinks, Pass, Tensor};
use super::{Mistake, Tolerance};
use crate::nn::{Architecture, BatchRef, Objective, Violations};
use naming::Naming;

/// A larger tensor gets no grid: nobody reads that many marks.
const MOST_GRID_ENTRIES: usize = 4096;
/// How many of the entries that are furthest off are shown.
const WORST: usize = 5;

/// A gradient that somebody computed.
#[derive(Clone, Debug, PartialEq)]
pub struct SubmittedTensor {
    /// With respect to what.
    pub quantity: Quantity,
    /// Its axes; [`Quantity`] says which it should have.
    pub shape: Vec<usize>,
    /// Row after row.
    pub values: Vec<f64>,
}

/// What helps to name mistakes, where the caller knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// The batch whose gradients were computed before.
    pub earlier: Option<BatchRef<'a, f64>>,
    /// Of the step that the code takes.
    pub learning_rate: Option<f64>,
    /// N, how many samples the batch was taken from.
    pub dataset_size: Option<usize>,
}

/// The right gradients of one network on one batch, and what the wrong ones are computed from.
#[derive(Clone, Debug)]
pub struct References {
    pass: Pass,
    right: Gradients,
    earlier: Option<Gradients>,
    learning_rate: Option<f64>,
    dataset_size: Option<usize>,
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
    /// Which entries are right, where the shape is and nobody would drown in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<Grid>,
}

impl References {
    /// Computes the right gradients of a network with these parameters, in the order of [`Architecture`].
    ///
    /// # Errors
    /// Parameters, a batch or extras that do not fit the network, and gradients that overflow.
    pub fn new(
        architecture: &Architecture,
        parameters: &[f64],
        objective: Objective,
        batch: BatchRef<'_, f64>,
        extras: Extras<'_>,
    ) -> Result<Self, Violations> {
        check::references(architecture, parameters, objective, batch, &extras)?;
        let (pass, right) = Pass::new(architecture, parameters, objective, batch);
        check::finite(architecture, &right)?;
        let earlier = extras
            .earlier
            .map(|earlier| Pass::new(architecture, parameters, objective, earlier).1);
        Ok(Self {
            pass,
            right,
            earlier,
            learning_rate: extras.learning_rate,
            dataset_size: extras.dataset_size,
        })
    }

    /// The gradients that are right: one, or several where a unit lies on its kink.
    fn accepted(&self, tolerance: &Tolerance) -> Vec<(Kinks, Gradients)> {
        let mut accepted = vec![(Kinks::AsTheyAre, self.right.clone())];
        if self.pass.has_kinks(tolerance.kink) {
            let others = [Kinks::Switched, Kinks::On, Kinks::Off];
            accepted.extend(others.map(|kinks| (kinks, self.pass.right(kinks, tolerance.kink))));
        }
        accepted
    }
}

/// Judges every tensor, in the order given.
///
/// # Errors
/// Quantities that the network does not have, and shapes that do not hold as many values as were given; at
/// `submitted[i].layer` and `submitted[i].shape`.
pub fn grade_tensors(
    references: &References,
    submitted: &[SubmittedTensor],
    tolerance: &Tolerance,
) -> Result<Vec<TensorReport>, Violations> {
    check::submitted(references, submitted)?;
    let accepted = references.accepted(tolerance);
    let compared: Vec<Compared<'_>> = submitted
        .iter()
        .filter_map(|given| Compared::new(given, &accepted, tolerance))
        .collect();
    let naming = Naming::new(references, &accepted, &compared, tolerance);
    Ok((0..compared.len()).map(|at| naming.report(at)).collect())
}

/// A submitted tensor beside the right one.
struct Compared<'a> {
    given: &'a SubmittedTensor,
    /// Of those accepted the one with most entries right.
    expected: &'a Tensor,
    /// Which entries are right; empty where shapes differ.
    right: Vec<bool>,
    /// Whether every number is one of `f32`.
    single: bool,
}

impl<'a> Compared<'a> {
    /// Only a quantity that the network does not have gives nothing.
    fn new(
        given: &'a SubmittedTensor,
        accepted: &'a [(Kinks, Gradients)],
        tolerance: &Tolerance,
    ) -> Option<Self> {
        let mut best: Option<Self> = None;
        let single = given.values.iter().all(|&value| naming::is_single(value));
        for (_, gradients) in accepted {
            let expected = gradients.get(given.quantity)?;
            let right = if given.shape == expected.shape {
                tolerance.right(&given.values, &expected.values)
            } else {
                Vec::new()
            };
            let candidate = Self {
                given,
                expected,
                right,
                single,
            };
            if best
                .as_ref()
                .is_none_or(|best| best.count() < candidate.count())
            {
                best = Some(candidate);
            }
        }
        best
    }

    fn count(&self) -> usize {
        self.right.iter().filter(|&&right| right).count()
    }

    fn has_right_shape(&self) -> bool {
        self.given.shape == self.expected.shape
    }

    fn is_right(&self) -> bool {
        self.has_right_shape() && !self.right.is_empty() && self.right.iter().all(|&right| right)
    }

    fn is_finite(&self) -> bool {
        self.given.values.iter().all(|value| value.is_finite())
    }

    /// The row and the column of an entry, from 1; a vector is one row.
    fn place(&self, at: usize) -> (usize, usize) {
        let columns = self.columns();
        (at / columns + 1, at % columns + 1)
    }

    fn columns(&self) -> usize {
        self.expected.shape.last().copied().unwrap_or(1).max(1)
    }

    /// The report without a mistake and its message.
    fn report(&self) -> TensorReport {
        let mut report = TensorReport {
            quantity: self.given.quantity,
            verdict: if self.is_right() {
                Verdict::Correct
            } else {
                Verdict::Incorrect
            },
            mistake: None,
            message: "Right.".to_owned(),
            largest_absolute_error: None,
            largest_relative_error: None,
            worst: Vec::new(),
            grid: None,
        };
        if !self.has_right_shape() {
            return report;
        }
        if self.is_finite() {
            report.largest_absolute_error = Some(self.largest(|a, b| (a - b).abs()));
            report.largest_relative_error = Some(self.largest(relative_error));
        }
        report.worst = self.worst();
        report.grid = (self.right.len() <= MOST_GRID_ENTRIES).then(|| Grid {
            rows: self.right.len() / self.columns(),
            columns: self.columns(),
            right: self.right.clone(),
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
        let mut wrong: Vec<usize> = (0..self.right.len())
            .filter(|&at| !self.right[at])
            .collect();
        wrong.sort_by(|&a, &b| error(b).total_cmp(&error(a)));
        let entry = |&at: &usize| {
            let (row, column) = self.place(at);
            let given = self.given.values[at];
            Worst { row, column, given }
        };
        wrong.iter().take(WORST).map(entry).collect()
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

/// A number rounded so that it tells a size and no more.
fn two_digits(number: f64) -> f64 {
    format!("{number:.1e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests;
