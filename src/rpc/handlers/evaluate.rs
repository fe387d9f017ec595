//! Evaluate: the forward pass from the last committed weights, some rows at a time, and how well its outputs match the
//! targets.

use std::sync::Arc;

use tonic::{Response, Status};

use super::reads;
use crate::encoded::Encoded;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::evaluate::{self as host_evaluate, block_rows, evaluation_bytes};
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::parts::dataset_rows::SamplesParts;
use crate::host::refused::Refused;
use crate::nn::evaluation::classes;
use crate::nn::pauses::{Unpaused, is_long, without_pauses};
use crate::nn::threads::share;
use crate::nn::{Evaluated, EvaluationParts, Pauses, Samples, SamplesError, WeightsDigest};
use crate::rpc::convert::dataset::read_samples;
use crate::rpc::convert::shared_fields::{check_reply, reply_limit};
use crate::rpc::convert::spec::{reduction, to_i32};
use crate::rpc::convert::target::RequestedTarget;
use crate::rpc::convert::tensor::{Encoding, write};
use crate::rpc::convert::training::timings;
use crate::rpc::{large_reply, pb};
use crate::training::{Model, Spec};

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
    let sent = (request.inputs, request.targets, request.labels);
    let samples = read_samples(sent, request.dataset, &mut violations);
    let inputs = samples.as_ref().and_then(SamplesParts::inputs);
    let encoding = Encoding::of_reply(request.encoding, inputs, &mut violations);
    let limit = reply_limit(
        request.max_reply_bytes,
        host.config.max_reply_bytes,
        &mut violations,
    );
    let dataset = samples.as_ref().and_then(SamplesParts::dataset).cloned();
    let (target, samples) = violations
        .into_result(target.zip(samples))
        .map_err(Refused::from)?;
    let parts = EvaluationParts {
        confusion_matrix: request.confusion_matrix,
        per_sample_loss: request.per_sample_loss,
    };

    with_model!(target.find(host, caller).await?, model => {
        let spec = model.spec();
        let mut violations = Violations::new();
        check_parts(parts, spec, host.config.max_confusion_classes, &mut violations);
        let samples = violations.take_own(samples_of(host, caller, &model, samples).await?);
        let samples = violations.into_result(samples).map_err(Refused::from)?;
        let (architecture, rows) = (&spec.architecture, samples.rows());
        let memory = host.workspace(caller, evaluation_bytes(&model, parts, rows))?;
        let bytes = reply_bytes(spec, parts, rows);
        check_reply(bytes, limit, "leave out per_sample_loss, send fewer rows")?;
        let room = large_reply::room_for(host, caller, bytes)?;
        let flops = architecture.forward_flops(rows);
        host.check_work(flops, "use a smaller network")?;
        let (reply, timing) = if is_long(architecture, rows, 1) {
            let work = |turns| async move {
                let _memory = memory;
                evaluation(&model, &*samples, parts, encoding, &turns).await
            };
            host.compute_in_blocks(caller, flops, work).await?
        } else {
            let work = move |par| {
                let _memory = memory;
                let block = block_rows(&model.spec().architecture, rows);
                share(&model.spec().architecture, block, par, |par| {
                    let pauses = Unpaused(par);
                    without_pauses(evaluation(&model, &*samples, parts, encoding, &pauses))
                })
            };
            host.compute_by(caller, flops, work).await?
        };
        let mut reply = reply.map_err(|error| match dataset {
            Some(rows) => Refused::DatasetUnreadable { name: rows.name, error: error.0 },
            None => Refused::Bug,
        })?;
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

fn reply_bytes(spec: &Spec, parts: EvaluationParts, rows: usize) -> usize {
    let outputs = spec.architecture.output_size();
    let classes = classes(spec.objective, outputs).filter(|_| parts.confusion_matrix);
    let counts = classes.map_or(0, |classes| classes * classes * COUNT_BYTES);
    let losses = if parts.per_sample_loss { rows } else { 0 };
    (losses + outputs) * size_of::<f64>() + counts
}

/// The evaluation and its reply.
async fn evaluation<T: ModelScalar>(
    model: &Model<T>,
    samples: &dyn Samples<T>,
    parts: EvaluationParts,
    encoding: Encoding,
    pauses: &impl Pauses,
) -> Result<pb::EvaluateResponse, SamplesError> {
    let (spec, committed) = (model.spec(), model.committed());
    let evaluated = host_evaluate::evaluate(spec, &committed, samples, parts, pauses).await?;
    let digest = committed.digest_in_blocks(spec, pauses).await;
    Ok(reply(&evaluated, spec, committed.step, digest, encoding))
}

/// The samples of a request in the model's own type, or their violations.
async fn samples_of<T: ModelScalar>(
    host: &Host,
    caller: &Caller,
    model: &Model<T>,
    parts: SamplesParts,
) -> Result<Result<Arc<dyn Samples<T>>, Violations>, Refused> {
    match parts {
        SamplesParts::Sent(batch) => {
            let batch = reads::checked::<T>(host, caller, model.spec(), batch).await?;
            Ok(batch.map(|batch| Arc::new(batch) as Arc<dyn Samples<T>>))
        }
        SamplesParts::Dataset(rows) => {
            match host.find_rows::<T>(caller, None, &rows, model.spec()).await {
                Ok(found) => Ok(Ok(found.samples)),
                Err(Refused::Invalid(violations)) => Ok(Err(violations)),
                Err(refused) => Err(refused),
            }
        }
    }
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
