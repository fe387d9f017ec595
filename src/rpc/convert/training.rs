//! TrainBatch: converts a request into the parts of a run, and the events of a run into messages.

use super::dataset::read_samples;
use super::shared_fields::{count, duration, request_id};
use super::spec::{read_enum, to_i32};
use crate::fault::Violations;
use crate::host::compute::Timing;
use crate::host::parts::run::{HeldOutParts, Length, RunParts};
use crate::host::refused::Stop;
use crate::host::runs::event::{EndReason, RunEnd, RunStart};
use crate::host::runs::held_out::HeldOutMetrics;
use crate::rpc::pb;
use crate::training::StepMetrics;
use crate::training::spec::not_negative;

/// Reads everything but the model's name, or records the violations.
pub fn read_run(request: pb::TrainBatchRequest, violations: &mut Violations) -> Option<RunParts> {
    let sent = (request.inputs, request.targets, request.labels);
    let samples = read_samples(sent, request.dataset, violations);
    let before = violations.len();
    let held_out = request
        .held_out
        .and_then(|held_out| read_held_out(held_out, violations));
    let held_out_is_sound = violations.len() == before;
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
    let is_relaxed = read_is_relaxed(request.durability, violations);
    let on_disconnect = read_enum(
        request.on_disconnect,
        "on_disconnect",
        "ON_DISCONNECT_STOP (1) or ON_DISCONNECT_CONTINUE (2)",
        violations,
    );
    // Checked here as well, so that the violation is reported even if the request names no model.
    request_id(request.request_id.clone(), || [0; 32], violations);
    if !held_out_is_sound {
        return None;
    }
    Some(RunParts {
        samples: Some(samples?),
        held_out,
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
        is_relaxed,
        stop_on_disconnect: match on_disconnect {
            pb::OnDisconnect::Unspecified | pb::OnDisconnect::Stop => true,
            pb::OnDisconnect::Continue => false,
        },
    })
}

/// Reads whether a write may be acknowledged from memory.
pub fn read_is_relaxed(durability: i32, violations: &mut Violations) -> bool {
    let durability: pb::Durability = read_enum(
        durability,
        "durability",
        "DURABILITY_DURABLE (1) or DURABILITY_RELAXED (2)",
        violations,
    );
    durability == pb::Durability::Relaxed
}

/// Reads the evaluation of a run at `held_out`, or records the violations.
fn read_held_out(held_out: pb::HeldOut, violations: &mut Violations) -> Option<HeldOutParts> {
    let mut faults = Violations::new();
    let sent = (held_out.inputs, held_out.targets, held_out.labels);
    let samples = read_samples(sent, held_out.dataset, &mut faults);
    if held_out.every_steps != 0 && held_out.every_epochs != 0 {
        let given = "every_steps and every_epochs";
        faults.add("every_epochs", given, "at most one of the two");
    }
    let steps = count(held_out.every_steps, "every_steps", 0, &mut faults) as u64;
    let epochs = count(held_out.every_epochs, "every_epochs", 1, &mut faults) as u64;
    let patience = count(held_out.patience, "patience", 0, &mut faults) as u64;
    violations.extend_at("held_out", faults);
    Some(HeldOutParts {
        samples: samples?,
        every: match steps {
            0 => Length::Epochs(epochs),
            steps => Length::Steps(steps),
        },
        patience: (patience > 0).then_some(patience),
        keeps_best: held_out.keep_best,
    })
}

/// Where the time of a run went, as a message.
pub fn timings(timing: Timing) -> pb::Timings {
    pb::Timings {
        queued: Some(duration(timing.queued)),
        computed: Some(duration(timing.computed)),
    }
}

/// The first event of a run.
pub fn started(start: &RunStart) -> pb::Started {
    pb::Started {
        step: start.step.cast_signed(),
        planned_steps: start.planned_steps.cast_signed(),
        resumed_steps: start.resumed_steps.cast_signed(),
        replayed: start.replayed,
        queue_position: to_i32(start.queue_position),
    }
}

/// Several steps of a run.
pub fn progress(steps: &[StepMetrics]) -> pb::Progress {
    pb::Progress {
        steps: steps.iter().map(step_metrics).collect(),
    }
}

/// The metrics of one step.
pub fn step_metrics(metrics: &StepMetrics) -> pb::StepMetrics {
    pb::StepMetrics {
        step: metrics.step.cast_signed(),
        epoch: i32::try_from(metrics.epoch).unwrap_or(i32::MAX),
        loss: metrics.loss,
        accuracy: metrics.accuracy,
        gradient_norm: metrics.gradient_norm,
        learning_rate: metrics.learning_rate,
        non_finite: !(metrics.loss.is_finite() && metrics.gradient_norm.is_finite()),
    }
}

/// Held-out figures.
pub fn held_out(metrics: &HeldOutMetrics) -> pb::HeldOutMetrics {
    pb::HeldOutMetrics {
        step: metrics.step.cast_signed(),
        epoch: i32::try_from(metrics.epoch).unwrap_or(i32::MAX),
        loss: metrics.loss,
        accuracy: metrics.accuracy,
        determination: metrics.determination,
        is_best: metrics.is_best,
    }
}

/// The end of a run, for any reason.
pub fn completed(end: &RunEnd, metrics_dropped: u64) -> pb::Completed {
    let reason = match end.reason {
        EndReason::Finished => pb::StopReason::Finished,
        EndReason::OutOfPatience => pb::StopReason::Patience,
        EndReason::Diverged(_) => pb::StopReason::Diverged,
        EndReason::Stopped(Stop::Deadline) => pb::StopReason::Deadline,
        EndReason::Stopped(Stop::Client) => pb::StopReason::Cancelled,
        EndReason::Stopped(Stop::Shutdown) => pb::StopReason::Shutdown,
        EndReason::Stopped(Stop::Deleted) => pb::StopReason::Deleted,
        EndReason::Stopped(Stop::Moved) => pb::StopReason::Moved,
        EndReason::Stopped(Stop::RunTime) => pb::StopReason::RunTime,
        EndReason::Stopped(Stop::Requested) => pb::StopReason::Stopped,
        EndReason::Stopped(Stop::DatasetDeleted | Stop::DatasetUnreadable) => {
            pb::StopReason::Dataset
        }
        EndReason::NotStored(_) | EndReason::Failed => pb::StopReason::Failed,
    };
    pb::Completed {
        stop_reason: reason.into(),
        steps_done: end.steps_done.cast_signed(),
        step: end.step.cast_signed(),
        final_loss: end.final_loss.unwrap_or(f64::NAN),
        weights_digest: end
            .digest
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        timings: Some(timings(end.timing)),
        metrics_dropped: metrics_dropped.cast_signed(),
        durable_step: end.durable_step.map(u64::cast_signed),
        best_step: end.best_step.map(u64::cast_signed),
    }
}
