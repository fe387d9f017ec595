//! Evaluate: the forward pass from the last committed weights, some rows at a time, and how well its outputs match the
//! targets.

use std::sync::Arc;

use faer::Par;
use tonic::{Response, Status};

use super::reads;
use crate::encoded::Encoded;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::refused::Refused;
use crate::nn::evaluation::classes;
use crate::nn::pauses::is_long;
use crate::nn::threads::share;
use crate::nn::{
    Architecture, Batch, Evaluated, Evaluation, EvaluationParts, ForwardBuffers, Pauses,
    WeightsDigest,
};
use crate::rpc::convert::shared_fields::{check_reply, reply_limit};
use crate::rpc::convert::spec::{reduction, to_i32};
use crate::rpc::convert::target::{RequestedTarget, read_batch};
use crate::rpc::convert::tensor::{Encoding, write};
use crate::rpc::convert::training::timings;
use crate::rpc::{large_reply, pb};
use crate::training::{Model, Spec};

/// The entries of z in one block of rows, about: a few megabytes, so that the memory does not grow with the rows.
const BLOCK_ENTRIES: usize = 1 << 19;

/// The fewest rows of a block: with less the products would slow down.
const LEAST_ROWS: usize = 256;

/// The most bytes of a count on the wire: seven bits in each.
const COUNT_BYTES: usize = 5;

/// Answers Evaluate.
///
/// # Errors
/// Invalid fields, an unknown model, a reply that is too large, no memory, or a passed deadline.
pub async fn evaluate(
    host: &Host,
    caller: &Caller,
    request: pb::EvaluateRequest,
) -> Result<Response<pb::EvaluateResponse>, Status> {
    let mut violations = Violations::new();
    let target = RequestedTarget::read(request.target, &host.limits, caller, &mut violations);
    let batch = read_batch(
        request.inputs,
        request.targets,
        request.labels,
        &mut violations,
    );
    let encoding = Encoding::of_reply(
        request.encoding,
        batch.as_ref().map(|batch| &batch.inputs),
        &mut violations,
    );
    let limit = reply_limit(
        request.max_reply_bytes,
        host.config.max_reply_bytes,
        &mut violations,
    );
    let (target, batch) = violations
        .into_result(target.zip(batch))
        .map_err(Refused::from)?;
    let parts = EvaluationParts {
        confusion_matrix: request.confusion_matrix,
        per_sample_loss: request.per_sample_loss,
    };

    with_model!(target.find(host, caller).await?, model => {
        let spec = model.spec();
        let mut violations = Violations::new();
        check_parts(parts, spec, host.config.max_confusion_classes, &mut violations);
        let batch = violations.take_own(reads::checked(host, caller, spec, batch).await?);
        let batch = violations.into_result(batch).map_err(Refused::from)?;
        let (architecture, rows) = (&spec.architecture, batch.rows());
        let memory = host.workspace(caller, workspace_bytes(&model, parts, rows))?;
        let bytes = reply_bytes(spec, parts, rows);
        check_reply(bytes, limit, "leave out per_sample_loss, send fewer rows")?;
        let room = large_reply::room_for(host, caller, bytes)?;
        let flops = architecture.forward_flops(rows);
        host.check_work(flops, "use a smaller network")?;
        let (mut reply, timing) = if is_long(architecture, rows, 1) {
            let work = |turns| async move {
                let _memory = memory;
                evaluation_in_blocks(&model, &batch, parts, encoding, &turns).await
            };
            host.compute_in_blocks(caller, flops, work).await?
        } else {
            let work = move |par| {
                let _memory = memory;
                evaluation(&model, &batch, parts, encoding, par)
            };
            host.compute_by(caller, flops, work).await?
        };
        reply.timings = Some(timings(timing));
        Ok(match room {
            None => Response::new(reply),
            Some(memory) => Encoded::of_message(large_reply::evaluation(reply), memory)
                .answer(pb::EvaluateResponse::default()),
        })
    })
}

/// Records a confusion matrix for a loss that has no classes, or for more classes than allowed.
fn check_parts(parts: EvaluationParts, spec: &Spec, most: usize, violations: &mut Violations) {
    if !parts.confusion_matrix {
        return;
    }
    let outputs = spec.architecture.output_size();
    match classes(spec.objective, outputs) {
        Some(classes) if classes <= most => {}
        Some(classes) => {
            let given = format!("true for {classes} classes");
            let allowed = format!("at most {most} classes (max_confusion_classes)");
            violations.add("confusion_matrix", given, allowed);
        }
        None => {
            let loss = spec.objective.loss;
            let given = format!("true for a model with {loss:?} and {outputs} outputs");
            let allowed =
                "false: only CROSS_ENTROPY, and BINARY_CROSS_ENTROPY with one output, have classes";
            violations.add("confusion_matrix", given, allowed);
        }
    }
}

/// The rows of a block.
fn block_rows(architecture: &Architecture, rows: usize) -> usize {
    (BLOCK_ENTRIES / architecture.units_per_sample())
        .max(LEAST_ROWS)
        .min(rows)
}

fn workspace_bytes<T: ModelScalar>(model: &Model<T>, parts: EvaluationParts, rows: usize) -> usize {
    let spec = model.spec();
    let (architecture, outputs) = (&spec.architecture, spec.architecture.output_size());
    ForwardBuffers::<T>::bytes(architecture, block_rows(architecture, rows))
        .saturating_add(Evaluation::<T>::bytes(spec.objective, outputs, parts, rows))
}

fn reply_bytes(spec: &Spec, parts: EvaluationParts, rows: usize) -> usize {
    let outputs = spec.architecture.output_size();
    let classes = classes(spec.objective, outputs).filter(|_| parts.confusion_matrix);
    let counts = classes.map_or(0, |classes| classes * classes * COUNT_BYTES);
    let losses = if parts.per_sample_loss { rows } else { 0 };
    (losses + outputs) * size_of::<f64>() + counts
}

fn evaluation<T: ModelScalar>(
    model: &Arc<Model<T>>,
    batch: &Batch<T>,
    parts: EvaluationParts,
    encoding: Encoding,
    par: Par,
) -> pb::EvaluateResponse {
    let spec = model.spec();
    let committed = model.committed();
    let architecture = &spec.architecture;
    let view = batch.view();
    let block = block_rows(architecture, view.rows);
    let mut buffers = ForwardBuffers::new(architecture, block);
    let mut evaluation = Evaluation::new(spec.objective, architecture.output_size(), parts);
    share(architecture, block, par, |par| {
        let mlp = committed.mlp(spec);
        for from in (0..view.rows).step_by(block) {
            let rows = view.slice(from, (from + block).min(view.rows));
            let trace = mlp.forward(rows.inputs, rows.rows, &mut buffers, par);
            evaluation.add(trace.outputs(), rows.targets);
        }
    });
    let digest = committed.digest(spec);
    reply(&evaluation.finish(), spec, committed.step, digest, encoding)
}

/// [`evaluation`] with pauses.
async fn evaluation_in_blocks<T: ModelScalar>(
    model: &Arc<Model<T>>,
    batch: &Batch<T>,
    parts: EvaluationParts,
    encoding: Encoding,
    pauses: &impl Pauses,
) -> pb::EvaluateResponse {
    let spec = model.spec();
    let committed = model.committed();
    let architecture = &spec.architecture;
    let view = batch.view();
    let block = block_rows(architecture, view.rows);
    let mut buffers = ForwardBuffers::new(architecture, block);
    let mut evaluation = Evaluation::new(spec.objective, architecture.output_size(), parts);
    let mlp = committed.mlp(spec);
    for from in (0..view.rows).step_by(block) {
        let rows = view.slice(from, (from + block).min(view.rows));
        let trace = mlp
            .forward_in_blocks(rows.inputs, rows.rows, &mut buffers, pauses)
            .await;
        evaluation.add(trace.outputs(), rows.targets);
        pauses.pause().await;
    }
    let digest = committed.digest_in_blocks(spec, pauses).await;
    reply(&evaluation.finish(), spec, committed.step, digest, encoding)
}

fn reply(
    evaluated: &Evaluated,
    spec: &Spec,
    step: u64,
    digest: WeightsDigest,
    encoding: Encoding,
) -> pb::EvaluateResponse {
    let confusion = evaluated.confusion_matrix.as_ref();
    let losses = evaluated.per_sample_loss.as_ref();
    let determination = evaluated.determination.as_ref();
    pb::EvaluateResponse {
        loss: Some(evaluated.loss),
        accuracy: evaluated.accuracy,
        confusion_matrix: confusion.map(|matrix| pb::ConfusionMatrix {
            classes: to_i32(matrix.rows),
            counts: matrix
                .entries
                .iter()
                .map(|count| count.cast_signed())
                .collect(),
        }),
        per_sample_loss: losses.map(|losses| write(&[losses.len()], losses, encoding)),
        r2_per_output: determination.map_or_else(Vec::new, |r2| r2.outputs.clone()),
        r2: determination.map(|r2| r2.overall),
        step: step.cast_signed(),
        weights_digest: digest.to_string(),
        reduction: reduction(spec.objective.reduction).into(),
        rows: i64::try_from(evaluated.rows).unwrap_or(i64::MAX),
        timings: None,
    }
}
