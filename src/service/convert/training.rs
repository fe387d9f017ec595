//! TrainBatch: a request into a plan, a run's events into messages.

use std::sync::Arc;

use faer::Par;

use super::request::{count, duration, request_id};
use super::spec::read_enum;
use super::target::BatchParts;
use crate::config::Config;
use crate::nn::batch::check_rows;
use crate::nn::digest::update_in_blocks;
use crate::nn::pauses::{Pauses, Unpaused, without_pauses};
use crate::nn::{Batch, Minibatches, TargetsRef, Violations};
use crate::service::compute::Timing;
use crate::service::entry::ModelScalar;
use crate::service::pb;
use crate::service::run_event::{EndReason, RunEnd, RunStart};
use crate::service::status::Stop;
use crate::training::spec::not_negative;
use crate::training::{Fingerprint, Plan, Spec, StepMetrics};

/// A TrainBatch request whose own fields are right, not yet compared with the model.
pub struct TrainParts {
    /// Until it is read.
    batch: Option<BatchParts>,
    length: Length,
    minibatch_size: usize,
    shuffle_seed: Option<i64>,
    learning_rate: Option<f64>,
    request_id: String,
    /// Refuses unless the model is at this step.
    pub expected_step: Option<i64>,
    /// Report every n-th step.
    pub metrics_every: u64,
    /// Whether its end is acknowledged from memory.
    pub is_relaxed: bool,
    /// Whether the run ends with its caller.
    pub stop_on_disconnect: bool,
}

#[derive(Clone, Copy)]
enum Length {
    Steps(u64),
    Epochs(u64),
}

/// How large a run may be.
#[derive(Clone, Copy)]
pub struct Bounds {
    rows: usize,
    steps: u64,
}

impl Bounds {
    /// No bounds but the message's size: for a repeated request, whose outcome is answered even where today's limits are
    /// lower.
    pub const NONE: Self = Self {
        rows: usize::MAX,
        steps: u64::MAX,
    };

    /// As the configuration says.
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

    /// Refuses a plan that was made without bounds.
    ///
    /// # Errors
    /// It has too many rows or steps.
    pub fn check<T: ModelScalar>(self, plan: &Plan<T>) -> Result<(), Violations> {
        let mut violations = Violations::new();
        check_rows(plan.batch.rows(), self.rows, &mut violations);
        self.check_steps("steps", plan.steps, &mut violations);
        violations.into_result(Some(()))
    }
}

impl TrainParts {
    /// Reads everything but the model's name, or notes what is wrong.
    pub fn read(request: pb::TrainBatchRequest, violations: &mut Violations) -> Option<Self> {
        let batch = BatchParts::read(request.inputs, request.targets, request.labels, violations);
        if request.steps != 0 && request.epochs != 0 {
            violations.add("epochs", "steps and epochs", "at most one of the two");
        }
        let steps = count(request.steps, "steps", 1, violations) as u64;
        let epochs = count(request.epochs, "epochs", 1, violations) as u64;
        let minibatch_size = count(
            request.minibatch_size,
            "minibatch_size",
            usize::MAX,
            violations,
        );
        let metrics_every = count(request.metrics_every, "metrics_every", 1, violations) as u64;
        if let Some(learning_rate) = request.learning_rate {
            not_negative("learning_rate", learning_rate, violations);
        }
        let durability: pb::Durability = read_enum(
            request.durability,
            "durability",
            "DURABILITY_DURABLE (1) or DURABILITY_RELAXED (2)",
            violations,
        );
        let on_disconnect = read_enum(
            request.on_disconnect,
            "on_disconnect",
            "ON_DISCONNECT_STOP (1) or ON_DISCONNECT_CONTINUE (2)",
            violations,
        );
        // Checked here as well, so that a request without a model hears of it.
        request_id(request.request_id.clone(), || [0; 32], violations);
        Some(Self {
            batch: Some(batch?),
            length: if request.epochs == 0 {
                Length::Steps(steps)
            } else {
                Length::Epochs(epochs)
            },
            minibatch_size,
            shuffle_seed: request.shuffle_seed,
            learning_rate: request.learning_rate,
            request_id: request.request_id,
            expected_step: request.expected_step,
            metrics_every,
            is_relaxed: durability == pb::Durability::Relaxed,
            stop_on_disconnect: match on_disconnect {
                pb::OnDisconnect::Unspecified | pb::OnDisconnect::Stop => true,
                pb::OnDisconnect::Continue => false,
            },
        })
    }

    /// Who asks, if it is to be remembered; else empty.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// About the floating-point operations of making a plan.
    pub fn entries(&self) -> u64 {
        self.batch.as_ref().map_or(0, BatchParts::entries)
    }

    /// The step metrics that its reader may be sent, at most.
    pub fn most_reports(&self) -> u64 {
        match self.length {
            // The first and the last step are reported besides every n-th.
            Length::Steps(steps) => (steps / self.metrics_every.max(1)).saturating_add(2),
            Length::Epochs(_) => u64::MAX,
        }
    }

    /// A plan that fits the model.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn plan<T: ModelScalar>(
        mut self,
        spec: &Spec,
        bounds: Bounds,
    ) -> Result<Plan<T>, Violations> {
        let batch = self.batch.take().ok_or_else(Violations::new)?;
        let rows = batch.inputs.rows();
        let batch = batch.typed::<T>(spec, bounds.rows);
        without_pauses(self.complete(rows, batch, bounds, &Unpaused(Par::Seq)))
    }

    /// [`Self::plan`] with pauses.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub async fn plan_in_blocks<T: ModelScalar>(
        mut self,
        spec: &Spec,
        bounds: Bounds,
        pauses: &impl Pauses,
    ) -> Result<Plan<T>, Violations> {
        let batch = self.batch.take().ok_or_else(Violations::new)?;
        let rows = batch.inputs.rows();
        let batch = batch.typed_in_blocks::<T>(spec, bounds.rows, pauses).await;
        self.complete(rows, batch, bounds, pauses).await
    }

    /// The plan for a batch of so many rows.
    async fn complete<T: ModelScalar>(
        self,
        rows: usize,
        batch: Result<Batch<T>, Violations>,
        bounds: Bounds,
        pauses: &impl Pauses,
    ) -> Result<Plan<T>, Violations> {
        let mut violations = Violations::new();
        let batch = violations.take_own(batch);
        let minibatches = Minibatches::new(rows, self.minibatch_size, self.shuffle_seed);
        let (field, steps) = match self.length {
            Length::Steps(steps) => ("steps", steps),
            Length::Epochs(epochs) => (
                "epochs",
                epochs.saturating_mul(minibatches.steps_per_epoch()),
            ),
        };
        bounds.check_steps(field, steps, &mut violations);
        let batch = violations.into_result(batch)?;
        let content = Content {
            batch: &batch,
            steps,
            minibatch_size: minibatches.size(),
            shuffle_seed: self.shuffle_seed,
            learning_rate: self.learning_rate,
            expected_step: self.expected_step,
        };
        // The id's own form was checked when the request was read.
        let known = match self.request_id.as_str() {
            "" => [0; 32],
            _ => content.fingerprint(pauses).await,
        };
        let request = request_id(self.request_id, || known, &mut Violations::new());
        Ok(Plan {
            batch: Arc::new(batch),
            minibatches,
            steps,
            learning_rate: self.learning_rate,
            request,
        })
    }
}

/// What a TrainBatch request asks for; how it wants to hear about it is left out.
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

/// Where the time went.
pub fn timings(timing: Timing) -> pb::Timings {
    pb::Timings {
        queued: Some(duration(timing.queued)),
        computed: Some(duration(timing.computed)),
    }
}

/// A run's beginning.
pub fn started(start: &RunStart) -> pb::Started {
    pb::Started {
        step: start.step.cast_signed(),
        planned_steps: start.planned_steps.cast_signed(),
        resumed_steps: start.resumed_steps.cast_signed(),
        replayed: start.replayed,
        queue_position: super::spec::to_i32(start.queue_position),
    }
}

/// Several steps of a run.
pub fn progress(steps: &[StepMetrics]) -> pb::Progress {
    let metrics = |metrics: &StepMetrics| pb::StepMetrics {
        step: metrics.step.cast_signed(),
        epoch: i32::try_from(metrics.epoch).unwrap_or(i32::MAX),
        loss: metrics.loss,
        accuracy: metrics.accuracy,
        gradient_norm: metrics.gradient_norm,
        learning_rate: metrics.learning_rate,
        non_finite: !(metrics.loss.is_finite() && metrics.gradient_norm.is_finite()),
    };
    pb::Progress {
        steps: steps.iter().map(metrics).collect(),
    }
}

/// A run's end, for whatever reason.
pub fn completed(end: &RunEnd, metrics_dropped: u64) -> pb::Completed {
    let reason = match end.reason {
        EndReason::Finished => pb::StopReason::Finished,
        EndReason::Diverged(_) => pb::StopReason::Diverged,
        EndReason::Stopped(Stop::Deadline) => pb::StopReason::Deadline,
        EndReason::Stopped(Stop::Client) => pb::StopReason::Cancelled,
        EndReason::Stopped(Stop::Shutdown) => pb::StopReason::Shutdown,
        EndReason::Stopped(Stop::Deleted) => pb::StopReason::Deleted,
        EndReason::Stopped(Stop::RunTime) => pb::StopReason::RunTime,
        EndReason::NotStored(_) | EndReason::Failed => pb::StopReason::Failed,
    };
    pb::Completed {
        stop_reason: reason.into(),
        steps_done: end.steps_done.cast_signed(),
        step: end.step.cast_signed(),
        final_loss: end.final_loss,
        weights_digest: end
            .digest
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        timings: Some(timings(end.timing)),
        metrics_dropped: metrics_dropped.cast_signed(),
        durable_step: end.durable_step.map(u64::cast_signed),
    }
}
