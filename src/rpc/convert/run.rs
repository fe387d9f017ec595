//! Runs as messages.

use super::shared_fields::timestamp;
use super::training::held_out;
use crate::fault::Violations;
use crate::host::refused::Stop;
use crate::host::runs::event::EndReason;
use crate::host::runs::record::{RunProgress, RunRecord};
use crate::rpc::pb;
use crate::training::{Id, ModelName};

/// The pattern of a run's name, for messages.
const RUN_PATTERN: &str = "\"sessions/{session}/models/{model}/runs/{run}\"";

/// Reads "sessions/{session}/models/{model}/runs/{run}": the model and the run's id.
pub fn run_name(
    text: &str,
    field: &str,
    violations: &mut Violations,
) -> Option<(ModelName, String)> {
    let parse = || {
        let (model, run) = text.split_once("/runs/")?;
        Some((ModelName::parse(model)?, Id::parse(run)?.to_string()))
    };
    let name = parse();
    if name.is_none() {
        violations.add(field, format!("{text:?}"), RUN_PATTERN);
    }
    name
}

/// A run of `model` as a message; `None` before its beginning.
pub fn write_run(model: &ModelName, record: &RunRecord) -> Option<pb::Run> {
    let progress = record.progress()?;
    let (start, started) = progress.start;
    Some(pb::Run {
        name: format!("{model}/runs/{}", record.id),
        request_id: record.request_id.clone(),
        state: state(&progress).into(),
        first_step: start.step.cast_signed(),
        planned_steps: start.planned_steps.cast_signed(),
        steps_done: progress.steps_done().cast_signed(),
        resumed_steps: start.resumed_steps.cast_signed(),
        last_loss: progress.last.map(|last| last.loss),
        learning_rate: progress.last.map(|last| last.learning_rate),
        start_time: Some(timestamp(started)),
        end_time: progress.end.map(|(_, ended)| timestamp(ended)),
        last_held_out: progress.last_held_out.as_ref().map(held_out),
        best_held_out: progress.best_held_out.as_ref().map(held_out),
    })
}

fn state(progress: &RunProgress) -> pb::RunState {
    let Some((end, _)) = &progress.end else {
        return pb::RunState::Running;
    };
    match end.reason {
        EndReason::Finished | EndReason::OutOfPatience => pb::RunState::Finished,
        EndReason::Diverged(_) => pb::RunState::Diverged,
        EndReason::Stopped(Stop::Requested) => pb::RunState::Stopped,
        EndReason::Stopped(Stop::Client) => pb::RunState::Cancelled,
        EndReason::Stopped(Stop::Deadline) => pb::RunState::Deadline,
        EndReason::Stopped(Stop::RunTime) => pb::RunState::RunTime,
        EndReason::Stopped(Stop::Deleted) => pb::RunState::Deleted,
        EndReason::Stopped(Stop::Moved) => pb::RunState::Moved,
        EndReason::Stopped(Stop::Shutdown) => pb::RunState::Shutdown,
        EndReason::Stopped(Stop::DatasetDeleted | Stop::DatasetUnreadable) => pb::RunState::Dataset,
        EndReason::NotStored(_) | EndReason::Failed => pb::RunState::Failed,
    }
}
