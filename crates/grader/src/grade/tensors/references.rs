//! The right gradients, and the data from which wrong ones are computed.

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Architecture, BatchRef, Objective};

use super::check;
use super::submitted::Extras;
use crate::grade::budget::Budget;
use crate::grade::pass::{Gradients, Pass, dense};
use crate::grade::tensor_mistakes::FullPass;

/// The right gradients of one network on one batch, and the data from which wrong ones are computed.
#[derive(Clone, Debug)]
pub struct References {
    pub(super) pass: Pass,
    pub(super) right: Gradients,
    pub(super) earlier: Option<Gradients>,
    pub(super) learning_rate: Option<f64>,
    pub(super) dataset_size: Option<usize>,
}

/// [`References`] in progress.
pub(super) struct PendingReferences {
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
    pub(super) fn new(
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

    /// Continues while `budget` lasts; returns the references once, at the end.
    pub(super) fn advance(
        &mut self,
        budget: &mut Budget,
    ) -> Option<Result<References, Violations>> {
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
