//! A run in a request, and its conversion to a plan.

use std::sync::Arc;

use faer::Par;

use super::batch::BatchParts;
use super::dataset_rows::{DatasetRows, SamplesParts};
use crate::config::Config;
use crate::fault::Violations;
use crate::host::models::any_model::ModelScalar;
use crate::nn::batch::check_rows;
use crate::nn::digest::update_in_blocks;
use crate::nn::pauses::{Pauses, Unpaused, without_pauses};
use crate::nn::{Batch, Minibatches, Samples, TargetsRef};
use crate::training::{DatasetReference, Fingerprint, Plan, RequestId, RunData, Spec};

/// A run in a request, not yet checked against the model.
pub struct RunParts {
    /// `None` once it has been read.
    pub samples: Option<SamplesParts>,
    /// The evaluation during the run, if requested; `None` once it has been read.
    pub held_out: Option<HeldOutParts>,
    /// How long to train.
    pub length: Length,
    /// Rows in a minibatch; anything above the batch size means the whole batch.
    pub minibatch_size: usize,
    /// Seed of the row order; `None` for the order in the request.
    pub shuffle_seed: Option<i64>,
    /// Overrides the model's learning rate.
    pub learning_rate: Option<f64>,
    /// The request id; empty for none.
    pub request_id: String,
    /// Requires the model to be at this step.
    pub expected_step: Option<i64>,
    /// Report every n-th step.
    pub metrics_every: u64,
    /// Whether the end may be acknowledged from memory.
    pub is_relaxed: bool,
    /// Whether the run ends with its caller.
    pub stop_on_disconnect: bool,
}

/// The evaluation during a run, not yet checked against the model.
pub struct HeldOutParts {
    /// The held-out samples.
    pub samples: SamplesParts,
    /// The distance of two evaluations.
    pub every: Length,
    /// Evaluations without a smaller loss after which the run ends.
    pub patience: Option<u64>,
    /// Whether the run ends with its best parameters.
    pub keeps_best: bool,
}

impl HeldOutParts {
    /// The fingerprint of a request with this evaluation, given that of the rest.
    pub fn fingerprint(&self, rest: &Fingerprint) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"TrainBatch with an evaluation 1");
        hasher.update(rest);
        let (is_epochs, every) = self.every.parts();
        hasher.update(&[u8::from(is_epochs), u8::from(self.keeps_best)]);
        for number in [every, self.patience.unwrap_or(0)] {
            hasher.update(&number.to_le_bytes());
        }
        self.samples.update(&mut hasher);
        hasher.finalize().into()
    }
}

/// How long to train.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// This many steps.
    Steps(u64),
    /// This many passes over the batch.
    Epochs(u64),
}

impl Length {
    /// Whether it counts epochs, and how many of them, or of the steps; for fingerprints.
    fn parts(self) -> (bool, u64) {
        match self {
            Self::Steps(steps) => (false, steps),
            Self::Epochs(epochs) => (true, epochs),
        }
    }
}

/// Limits on the size of a run.
#[derive(Clone, Copy)]
pub struct Bounds {
    rows: usize,
    steps: u64,
}

impl Bounds {
    /// No limits but the message size: for a repeated request, whose stored outcome is returned even if limits were
    /// lowered since.
    pub const NONE: Self = Self {
        rows: usize::MAX,
        steps: u64::MAX,
    };

    /// The configured limits.
    pub fn of(config: &Config) -> Self {
        Self {
            rows: config.max_batch_rows,
            steps: config.max_steps_per_run,
        }
    }

    fn check_steps(self, field: &str, steps: u64, violations: &mut Violations) {
        if steps > self.steps {
            let allowed = format!(
                "at most {} steps in one call (max_steps_per_run)",
                self.steps
            );
            violations.add(field, format!("{steps} steps"), allowed);
        }
    }

    /// Checks a plan that was built without limits.
    ///
    /// # Errors
    /// It has too many rows or steps.
    pub fn check<T: ModelScalar>(self, plan: &Plan<T>) -> Result<(), Violations> {
        let mut violations = Violations::new();
        if let RunData::Batch(batch) = &plan.data {
            check_rows(batch.rows(), self.rows, &mut violations);
        }
        self.check_steps("steps", plan.steps, &mut violations);
        violations.into_result(Some(()))
    }
}

impl RunParts {
    /// The request id; empty for none.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Floating-point operations to build the plan, roughly.
    pub fn entries(&self) -> u64 {
        self.samples.as_ref().map_or(0, SamplesParts::entries)
    }

    /// Most step metrics that the run may report.
    pub fn most_reports(&self) -> u64 {
        match self.length {
            // The first and the last step are reported in addition to every n-th.
            Length::Steps(steps) => (steps / self.metrics_every.max(1)).saturating_add(2),
            Length::Epochs(_) => u64::MAX,
        }
    }

    /// Builds a plan for the model.
    ///
    /// # Errors
    /// Violations for every mismatch.
    pub fn plan<T: ModelScalar>(
        mut self,
        spec: &Spec,
        bounds: Bounds,
    ) -> Result<Plan<T>, Violations> {
        let batch = self.take_batch()?;
        let rows = batch.inputs.rows();
        let batch = batch.typed::<T>(spec, bounds.rows);
        without_pauses(self.complete(rows, batch, bounds, &Unpaused(Par::Seq)))
    }

    /// [`Self::plan`] with pauses.
    ///
    /// # Errors
    /// Violations for every mismatch.
    pub async fn plan_in_blocks<T: ModelScalar>(
        mut self,
        spec: &Spec,
        bounds: Bounds,
        pauses: &impl Pauses,
    ) -> Result<Plan<T>, Violations> {
        let batch = self.take_batch()?;
        let rows = batch.inputs.rows();
        let batch = batch.typed_in_blocks::<T>(spec, bounds.rows, pauses).await;
        self.complete(rows, batch, bounds, pauses).await
    }

    /// Builds the plan for a batch with this many rows.
    async fn complete<T: ModelScalar>(
        self,
        rows: usize,
        batch: Result<Batch<T>, Violations>,
        bounds: Bounds,
        pauses: &impl Pauses,
    ) -> Result<Plan<T>, Violations> {
        let mut violations = Violations::new();
        let batch = violations.take_own(batch);
        let (minibatches, steps) = self.steps(rows, bounds, &mut violations);
        let batch = violations.into_result(batch)?;
        let content = Content {
            batch: &batch,
            steps,
            minibatch_size: minibatches.size(),
            shuffle_seed: self.shuffle_seed,
            learning_rate: self.learning_rate,
            expected_step: self.expected_step,
        };
        // The id's format was checked when the request was decoded.
        let known = match self.request_id.as_str() {
            "" => [0; 32],
            _ => content.fingerprint(pauses).await,
        };
        let request = (!self.request_id.is_empty()).then_some(RequestId {
            id: self.request_id,
            fingerprint: known,
        });
        Ok(Plan {
            data: RunData::Batch(Arc::new(batch)),
            minibatches,
            steps,
            learning_rate: self.learning_rate,
            request,
        })
    }

    /// Builds a plan on rows of a dataset that fit the model.
    ///
    /// # Errors
    /// Too many steps.
    pub fn plan_on<T: ModelScalar>(
        self,
        rows: &DatasetRows,
        (samples, reference): (Arc<dyn Samples<T>>, DatasetReference),
        bounds: Bounds,
    ) -> Result<Plan<T>, Violations> {
        let mut violations = Violations::new();
        let (minibatches, steps) = self.steps(samples.rows(), bounds, &mut violations);
        violations.into_result(Some(()))?;
        let fingerprint = self.fingerprint_on(rows);
        let request = (!self.request_id.is_empty()).then_some(RequestId {
            id: self.request_id,
            fingerprint,
        });
        let reference = Arc::new(reference);
        Ok(Plan {
            data: RunData::Dataset { samples, reference },
            minibatches,
            steps,
            learning_rate: self.learning_rate,
            request,
        })
    }

    fn take_batch(&mut self) -> Result<BatchParts, Violations> {
        match self.samples.take() {
            Some(SamplesParts::Sent(batch)) => Ok(batch),
            Some(SamplesParts::Dataset(_)) | None => Err(Violations::new()),
        }
    }

    /// How the steps split `rows` samples, and how many there are.
    fn steps(
        &self,
        rows: usize,
        bounds: Bounds,
        violations: &mut Violations,
    ) -> (Minibatches, u64) {
        let minibatches = Minibatches::new(rows, self.minibatch_size, self.shuffle_seed);
        let (field, steps) = match self.length {
            Length::Steps(steps) => ("steps", steps),
            Length::Epochs(epochs) => (
                "epochs",
                epochs.saturating_mul(minibatches.steps_per_epoch()),
            ),
        };
        bounds.check_steps(field, steps, violations);
        (minibatches, steps)
    }

    /// The fingerprint of a request that names a dataset: what it says, so that a repeated request is known even if the
    /// dataset has been deleted since.
    fn fingerprint_on(&self, rows: &DatasetRows) -> Fingerprint {
        let (is_epochs, length) = self.length.parts();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"TrainBatch on a dataset 1");
        let flags = [
            u8::from(is_epochs),
            u8::from(self.shuffle_seed.is_some()),
            u8::from(self.learning_rate.is_some()),
            u8::from(self.expected_step.is_some()),
        ];
        hasher.update(&flags);
        let given = [
            length,
            self.minibatch_size as u64,
            self.shuffle_seed.unwrap_or(0).cast_unsigned(),
            self.learning_rate.unwrap_or(0.0).to_bits(),
            self.expected_step.unwrap_or(0).cast_unsigned(),
        ];
        for number in given {
            hasher.update(&number.to_le_bytes());
        }
        rows.update(&mut hasher);
        hasher.finalize().into()
    }
}

/// The fingerprinted content of a TrainBatch request; excludes how its results are reported.
struct Content<'a, T> {
    batch: &'a Batch<T>,
    steps: u64,
    minibatch_size: usize,
    shuffle_seed: Option<i64>,
    learning_rate: Option<f64>,
    expected_step: Option<i64>,
}

impl<T: ModelScalar> Content<'_, T> {
    async fn fingerprint(&self, pauses: &impl Pauses) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"TrainBatch 1");
        for number in [
            self.steps,
            self.minibatch_size as u64,
            self.batch.rows() as u64,
        ] {
            hasher.update(&number.to_le_bytes());
        }
        let optional = [
            self.shuffle_seed.map(i64::cast_unsigned),
            self.learning_rate.map(f64::to_bits),
            self.expected_step.map(i64::cast_unsigned),
        ];
        for number in optional {
            hasher.update(&[u8::from(number.is_some())]);
            hasher.update(&number.unwrap_or(0).to_le_bytes());
        }
        let view = self.batch.view();
        update_in_blocks(&mut hasher, view.inputs, pauses).await;
        match view.targets {
            TargetsRef::Values(values) => {
                hasher.update(b"values");
                update_in_blocks(&mut hasher, values, pauses).await;
            }
            TargetsRef::Labels(labels) => {
                hasher.update(b"labels");
                hasher.update(bytemuck::cast_slice(labels));
            }
        }
        hasher.finalize().into()
    }
}
