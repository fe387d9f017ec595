//! StopTraining, ListRuns and GetRun.

use tonic::{Response, Status};

use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::Refused;
use crate::host::runs::model_runs::StopTarget;
use crate::rpc::convert::run::{run_name, write_run};
use crate::rpc::convert::shared_fields::{model_name, request_id};
use crate::rpc::convert::spec::to_i32;
use crate::rpc::convert::training::{held_out, step_metrics};
use crate::rpc::pb;
use crate::training::ModelName;

/// Answers StopTraining.
///
/// # Errors
/// Invalid fields, an unknown model, or the deadline.
pub async fn stop(
    host: &Host,
    caller: &Caller,
    request: pb::StopTrainingRequest,
) -> Result<Response<pb::StopTrainingResponse>, Status> {
    let mut violations = Violations::new();
    let name = model_name(&request.model, "model", &mut violations);
    request_id(request.request_id.clone(), || [0; 32], &mut violations);
    let run = if request.run.is_empty() {
        None
    } else {
        run_name(&request.run, "run", &mut violations)
    };
    if let (Some(name), Some((model, _))) = (&name, &run)
        && name != model
    {
        // Another person's model answers as in every method.
        host.admit_to_model(caller, name).await?;
        host.admit_to_model(caller, model).await?;
        let given = format!("a run of {model}");
        violations.add("run", given, format!("a run of `model`, {name}"));
    }
    let is_named = !request.request_id.is_empty() || !request.run.is_empty();
    if request.queued && is_named {
        let given = "queued beside request_id or run";
        violations.add("queued", given, "false, or neither request_id nor run");
    }
    let name = violations.into_result(name).map_err(Refused::from)?;
    let target = if is_named {
        StopTarget::Named {
            request_id: request.request_id,
            run: run.map(|(_, id)| id).unwrap_or_default(),
        }
    } else {
        StopTarget::InProgress {
            queued: request.queued,
        }
    };
    let stopped = host.stop_training(caller, &name, &target).await?;
    Ok(Response::new(pb::StopTrainingResponse {
        stopped: stopped.is_stopped,
        run: stopped.run.and_then(|run| write_run(&name, &run)),
        stopped_queued: to_i32(stopped.queued),
        step: stopped.step.cast_signed(),
    }))
}

/// Answers ListRuns.
///
/// # Errors
/// An invalid name, or an unknown model.
pub async fn list(
    host: &Host,
    caller: &Caller,
    request: pb::ListRunsRequest,
) -> Result<Response<pb::ListRunsResponse>, Status> {
    let mut violations = Violations::new();
    let name = model_name(&request.model, "model", &mut violations);
    let name = violations.into_result(name).map_err(Refused::from)?;
    let (runs, queued) = host.list_runs(caller, &name).await?;
    let written = |run: &std::sync::Arc<_>| write_run(&name, run);
    Ok(Response::new(pb::ListRunsResponse {
        runs: runs.iter().filter_map(written).collect(),
        queued: to_i32(queued),
    }))
}

/// Answers GetRun.
///
/// # Errors
/// An invalid name, or an unknown model or run.
pub async fn get(
    host: &Host,
    caller: &Caller,
    request: pb::GetRunRequest,
) -> Result<Response<pb::GetRunResponse>, Status> {
    let mut violations = Violations::new();
    let name: Option<(ModelName, String)> = run_name(&request.name, "name", &mut violations);
    let (model, id) = violations.into_result(name).map_err(Refused::from)?;
    let run = host.find_run(caller, &model, &id).await?;
    let (metrics, every) = run.metrics();
    let (evaluations, held_out_every) = run.evaluations();
    Ok(Response::new(pb::GetRunResponse {
        run: write_run(&model, &run),
        metrics: metrics.iter().map(step_metrics).collect(),
        metrics_every: every.cast_signed(),
        held_out: evaluations.iter().map(held_out).collect(),
        held_out_every: held_out_every.cast_signed(),
    }))
}
