//! Gradients that a student's code computed, against the right ones.
//!
//! [`References`] computes the right gradients; [`grade_tensors`] compares and, where a tensor is wrong, computes the
//! wrong gradients of common mistakes to name the one that was made. [`TensorGrading`] does both block by block.

mod check;
mod comparison;
mod constant;
mod grading;
mod naming;
mod quantity;
mod trying;

pub use check::MOST_AXES;
pub use grading::{Detail, TensorGrading};
pub use quantity::Quantity;

use serde::Serialize;

use super::report::{Grid, Verdict};
use super::tensor_mistakes::{Budget, FullPass, Gradients, Pass, dense};
use super::{Mistake, Tolerance};
use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Architecture, BatchRef, Objective};
use grading::Judging;

/// A gradient that a student's code computed.
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

/// [`References`] under way.
struct PendingReferences {
    architecture: Architecture,
    own: FullPass,
    earlier: Option<FullPass>,
    done: Option<(Pass, Gradients)>,
    learning_rate: Option<f64>,
    dataset_size: Option<usize>,
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
        let mut pending =
            PendingReferences::new(architecture, parameters.to_vec(), objective, batch, extras)?;
        let mut budget = Budget::default();
        loop {
            budget.refill();
            if let Some(done) = pending.advance(&mut budget) {
                return done;
            }
        }
    }
}

impl PendingReferences {
    fn new(
        architecture: &Architecture,
        parameters: Vec<f64>,
        objective: Objective,
        batch: BatchRef<'_, f64>,
        extras: Extras<'_>,
    ) -> Result<Self, Violations> {
        check::references(architecture, &parameters, objective, batch, &extras)?;
        let pass = |batch: BatchRef<'_, f64>, parameters| {
            let targets = dense(batch.targets, architecture.output_size());
            let batch = (batch.inputs.to_vec(), targets, batch.rows);
            FullPass::new(architecture, parameters, objective, batch)
        };
        Ok(Self {
            earlier: extras
                .earlier
                .map(|earlier| pass(earlier, parameters.clone())),
            own: pass(batch, parameters),
            architecture: architecture.clone(),
            done: None,
            learning_rate: extras.learning_rate,
            dataset_size: extras.dataset_size,
        })
    }

    /// Goes on for as long as `budget` lasts; the references at the end, which comes once.
    fn advance(&mut self, budget: &mut Budget) -> Option<Result<References, Violations>> {
        if self.done.is_none() {
            self.done = self.own.advance(budget);
        }
        let is_computed = self.done.is_some();
        let earlier = match &mut self.earlier {
            Some(earlier) if is_computed => Some(earlier.advance(budget)?.1),
            Some(_) | None => None,
        };
        let (pass, right) = self.done.take()?;
        Some(
            check::finite(&self.architecture, &right).map(|()| References {
                pass,
                right,
                earlier,
                learning_rate: self.learning_rate,
                dataset_size: self.dataset_size,
            }),
        )
    }
}

/// Judges every tensor, in the order given, and tells all there is to tell.
///
/// # Errors
/// Quantities that the network does not have or that come twice, and shapes that do not hold as many values as were
/// given; at `submitted[i].layer` and `submitted[i].shape`.
pub fn grade_tensors(
    references: &References,
    submitted: &[SubmittedTensor],
    tolerance: &Tolerance,
) -> Result<Vec<TensorReport>, Violations> {
    check::submitted(&references.pass.architecture, submitted)?;
    let (references, submitted) = (references.clone(), submitted.to_vec());
    let mut judging = Judging::new(references, submitted, *tolerance, Detail::Full);
    let mut budget = Budget::default();
    loop {
        budget.refill();
        if judging.advance(&mut budget) {
            return Ok(judging.into_reports());
        }
    }
}

#[cfg(test)]
mod tests;
