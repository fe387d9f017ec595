//! The held-out figures of a run: an evaluation after every so many steps, and what follows from it.

use std::sync::Arc;

use crate::host::evaluate::evaluation_bytes;
use crate::nn::evaluation::{Evaluated, EvaluationParts};
use crate::nn::{Samples, Scalar};
use crate::training::{Committed, Model, Run};

/// How a run is evaluated.
#[derive(Debug)]
pub struct HeldOutPlan<T> {
    /// The held-out samples.
    pub samples: Arc<dyn Samples<T>>,
    /// Steps between two evaluations; the last step is always evaluated.
    pub every: u64,
    /// Evaluations without a smaller loss after which the run ends.
    pub patience: Option<u64>,
    /// Whether the run ends with the parameters of its smallest loss.
    pub keeps_best: bool,
}

/// Held-out figures after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOutMetrics {
    /// The model's step.
    pub step: u64,
    /// The pass over the samples, from 1.
    pub epoch: u64,
    /// The loss.
    pub loss: f64,
    /// For losses with classes.
    pub accuracy: Option<f64>,
    /// For a regression: the mean R² of the outputs.
    pub determination: Option<f64>,
    /// Whether no evaluation before had a smaller or equal loss.
    pub is_best: bool,
}

/// The evaluations of a run so far.
#[derive(Debug)]
pub struct HeldOut<T> {
    plan: HeldOutPlan<T>,
    best: Option<Best<T>>,
    /// Evaluations since the best one.
    since: u64,
    /// Steps of the request at the last evaluation.
    last: Option<u64>,
}

#[derive(Debug)]
struct Best<T> {
    loss: f64,
    committed: Arc<Committed<T>>,
}

impl<T: Scalar> HeldOut<T> {
    /// No evaluation yet.
    pub fn new(plan: HeldOutPlan<T>) -> Self {
        Self {
            plan,
            best: None,
            since: 0,
            last: None,
        }
    }

    /// The memory of an evaluation, in bytes.
    pub fn bytes(plan: &HeldOutPlan<T>, model: &Model<T>) -> usize {
        let best = if plan.keeps_best {
            model.spec().state_bytes()
        } else {
            0
        };
        let rows = plan.samples.rows();
        evaluation_bytes(model, EvaluationParts::default(), rows).saturating_add(best)
    }

    /// Whether an evaluation is due after this many steps of the request.
    pub fn is_due(&self, steps_done: u64, is_last: bool) -> bool {
        let is_nth = steps_done > 0 && steps_done.is_multiple_of(self.plan.every);
        (is_nth || is_last) && self.last != Some(steps_done)
    }

    /// The held-out samples.
    pub fn samples(&self) -> Arc<dyn Samples<T>> {
        Arc::clone(&self.plan.samples)
    }

    /// Notes an evaluation, and returns its figures and whether patience is at an end.
    pub fn note(
        &mut self,
        committed: &Arc<Committed<T>>,
        (steps_done, epoch): (u64, u64),
        evaluated: &Evaluated,
    ) -> (HeldOutMetrics, bool) {
        let loss = evaluated.loss;
        let is_best = match &self.best {
            None => !loss.is_nan(),
            Some(best) => loss < best.loss,
        };
        if is_best {
            let committed = Arc::clone(committed);
            self.best = Some(Best { loss, committed });
            self.since = 0;
        } else {
            self.since += 1;
        }
        self.last = Some(steps_done);
        let metrics = HeldOutMetrics {
            step: committed.step,
            epoch,
            loss,
            accuracy: evaluated.accuracy,
            determination: evaluated.determination.as_ref().map(|all| all.overall),
            is_best,
        };
        let is_over = self.plan.patience.is_some_and(|most| self.since >= most);
        (metrics, is_over)
    }

    /// At the end of the run: returns it to its best parameters if that was requested and they are not the last. Returns
    /// the best step, and whether the parameters have changed.
    pub fn conclude(&mut self, run: &mut Run<T>) -> (Option<u64>, bool) {
        let Some(best) = &self.best else {
            return (None, false);
        };
        let step = best.committed.step;
        let goes_back = self.plan.keeps_best && step != run.current().step;
        if goes_back {
            run.return_to(&best.committed);
        }
        (Some(step), goes_back)
    }
}
