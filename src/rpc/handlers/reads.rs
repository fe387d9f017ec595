//! Gradients and Predict, which read the last committed weights. Small ones are computed in one turn, large ones in
//! blocks.

use std::sync::Arc;

use tonic::{Response, Status};

use super::gradients;
use super::predict::{self, Extras, entries_per_row, predict_bytes};
use crate::encoded::Encoded;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::parts::batch::BatchParts;
use crate::host::parts::dataset_rows::SamplesParts;
use crate::host::refused::Refused;
use crate::host::runs::MANY_ENTRIES;
use crate::nn::batch::check_inputs;
use crate::nn::pauses::is_long;
use crate::nn::{Batch, Matrix, Quantity};
use crate::rpc::GradientsReply;
use crate::rpc::convert::dataset::read_samples;
use crate::rpc::convert::quantity;
use crate::rpc::convert::shared_fields::{check_reply, reply_limit};
use crate::rpc::convert::target::RequestedTarget;
use crate::rpc::convert::tensor::{self, Encoding, Rank};
use crate::rpc::convert::training::timings;
use crate::rpc::{large_reply, pb};
use crate::training::{Model, Spec};

/// A batch that fits the spec, in the type of the model or another one.
///
/// # Errors
/// All violations, a passed deadline, or a full queue.
pub async fn typed<T: ModelScalar>(
    host: &Host,
    caller: &Caller,
    spec: &Spec,
    batch: BatchParts,
) -> Result<Batch<T>, Refused> {
    Ok(checked(host, caller, spec, batch).await??)
}

/// [`typed`], with the violations apart, so that those of further fields can join them.
///
/// # Errors
/// A passed deadline, or a full queue.
pub async fn checked<T: ModelScalar>(
    host: &Host,
    caller: &Caller,
    spec: &Spec,
    batch: BatchParts,
) -> Result<Result<Batch<T>, Violations>, Refused> {
    let (entries, most, spec) = (batch.entries(), host.config.max_batch_rows, spec.clone());
    if entries > MANY_ENTRIES {
        let read = |turns| async move { batch.typed_in_blocks(&spec, most, &turns).await };
        Ok(host.compute_in_blocks(caller, entries, read).await?.0)
    } else {
        let read = move |_| batch.typed(&spec, most);
        Ok(host.compute_by(caller, entries, read).await?.0)
    }
}

/// Answers Gradients.
pub async fn gradients(
    host: &Host,
    caller: &Caller,
    request: pb::GradientsRequest,
) -> Result<Response<GradientsReply>, Status> {
    let mut violations = Violations::new();
    let target = RequestedTarget::read(request.target, &host.limits, caller, &mut violations);
    let sent = (request.inputs, request.targets, request.labels);
    let samples = read_samples(sent, request.dataset, &mut violations);
    let include = read_include(&request.include, &mut violations);
    let inputs = samples.as_ref().and_then(SamplesParts::inputs);
    let encoding = Encoding::of_reply(request.encoding, inputs, &mut violations);
    let limit = reply_limit(
        request.max_reply_bytes,
        host.config.max_reply_bytes,
        &mut violations,
    );
    let (target, samples) = violations
        .into_result(target.zip(samples))
        .map_err(Refused::from)?;

    with_model!(target.find(host, caller).await?, model => {
        let spec = model.spec();
        let batch = batch_of(host, caller, &model, samples).await?;
        let (architecture, rows) = (&spec.architecture, batch.rows());
        let memory = host.workspace(caller, gradients::gradients_bytes(&model, rows))?;
        let bytes = include.iter().map(|&quantity| {
            encoding.bytes(quantity.entries(architecture, rows), spec.dtype)
        });
        let way_out = "name fewer quantities in `include`, send fewer rows";
        let bytes = bytes.sum();
        check_reply(bytes, limit, way_out)?;
        let room = large_reply::room_for(host, caller, bytes)?;
        let flops = 3 * architecture.forward_flops(rows);
        host.check_work(flops, "use a smaller network")?;
        let (mut reply, timing) = if is_long(architecture, rows, 3) {
            let work = |turns| async move {
                let _memory = memory;
                gradients::gradients_in_blocks(&model, &batch, &include, encoding, &turns).await
            };
            host.compute_in_blocks(caller, flops, work).await?
        } else {
            let work = move |par| {
                let _memory = memory;
                gradients::gradients(&model, &batch, &include, encoding, par)
            };
            host.compute_by(caller, flops, work).await?
        };
        reply.head.timings = Some(timings(timing));
        Ok(match room {
            None => Response::new(reply),
            Some(memory) => {
                let (rope, blank) = reply.into_rope();
                Encoded::of_message(rope, memory).answer(blank)
            }
        })
    })
}

/// The samples of a request, as a batch in the model's own type.
async fn batch_of<T: ModelScalar>(
    host: &Host,
    caller: &Caller,
    model: &Arc<Model<T>>,
    samples: SamplesParts,
) -> Result<Batch<T>, Refused> {
    match samples {
        SamplesParts::Sent(batch) => typed_for(host, caller, model, batch).await,
        SamplesParts::Dataset(rows) => host.fetch_batch(caller, model, &rows).await,
    }
}

/// [`typed`] in the model's own type. It reads a small batch without copying the spec.
async fn typed_for<T: ModelScalar>(
    host: &Host,
    caller: &Caller,
    model: &Arc<Model<T>>,
    batch: BatchParts,
) -> Result<Batch<T>, Refused> {
    let entries = batch.entries();
    if entries > MANY_ENTRIES {
        return typed(host, caller, model.spec(), batch).await;
    }
    let (most, model) = (host.config.max_batch_rows, Arc::clone(model));
    let read = move |_| batch.typed(model.spec(), most);
    Ok(host.compute_by(caller, entries, read).await?.0?)
}

/// Answers Predict.
pub async fn predict(
    host: &Host,
    caller: &Caller,
    request: pb::PredictRequest,
) -> Result<Response<pb::PredictResponse>, Status> {
    let mut violations = Violations::new();
    let target = RequestedTarget::read(request.target, &host.limits, caller, &mut violations);
    let inputs = tensor::read(request.inputs, "inputs", Rank::Matrix, &mut violations);
    let encoding = Encoding::of_reply(request.encoding, inputs.as_ref(), &mut violations);
    let limit = reply_limit(
        request.max_reply_bytes,
        host.config.max_reply_bytes,
        &mut violations,
    );
    let (target, inputs) = violations
        .into_result(target.zip(inputs))
        .map_err(Refused::from)?;
    let extras = Extras {
        probabilities: request.probabilities,
        classes: request.classes,
        trace: request.trace,
    };

    with_model!(target.find(host, caller).await?, model => {
        let spec = model.spec();
        let (entries, most) = (inputs.entries() as u64, host.config.max_batch_rows);
        let asked = Arc::clone(&model);
        let inputs = if entries > MANY_ENTRIES {
            let read = |turns| async move {
                let inputs = inputs.into_matrix_in_blocks(&turns).await;
                check(asked.spec(), extras, inputs, most)
            };
            host.compute_in_blocks(caller, entries, read).await?.0.map_err(Refused::from)?
        } else {
            let read = move |_| check(asked.spec(), extras, inputs.into_matrix(), most);
            host.compute_by(caller, entries, read).await?.0.map_err(Refused::from)?
        };
        let (architecture, rows) = (&spec.architecture, inputs.rows);
        let memory = host.workspace(caller, predict_bytes(&model, rows))?;
        let entries = rows * entries_per_row(architecture, extras);
        let bytes = encoding.bytes(entries, spec.dtype);
        check_reply(bytes, limit, "send fewer rows")?;
        let room = large_reply::room_for(host, caller, bytes)?;
        let flops = architecture.forward_flops(rows);
        host.check_work(flops, "use a smaller network")?;
        let (mut reply, timing) = if is_long(architecture, rows, 1) {
            let work = |turns| async move {
                let (_memory, inputs) = (memory, &inputs.entries);
                predict::predict_in_blocks(&model, inputs, rows, extras, encoding, &turns).await
            };
            host.compute_in_blocks(caller, flops, work).await?
        } else {
            let work = move |par| {
                let _memory = memory;
                predict::predict(&model, &inputs.entries, rows, extras, encoding, par)
            };
            host.compute_by(caller, flops, work).await?
        };
        reply.timings = Some(timings(timing));
        Ok(match room {
            None => Response::new(reply),
            Some(memory) => Encoded::of_message(large_reply::prediction(reply), memory)
                .answer(pb::PredictResponse::default()),
        })
    })
}

fn check<T: ModelScalar>(
    spec: &Spec,
    extras: Extras,
    inputs: Matrix<T>,
    max_rows: usize,
) -> Result<Matrix<T>, Violations> {
    let mut violations = Violations::new();
    violations.take_own(extras.check(spec));
    violations.take_own(check_inputs(&spec.architecture, &inputs, max_rows));
    violations.into_result(Some(inputs))
}

fn read_include(include: &[i32], violations: &mut Violations) -> Vec<Quantity> {
    if include.len() > Quantity::ALL.len() {
        let given = format!("{} quantities", include.len());
        let allowed = format!("at most {}, each once", Quantity::ALL.len());
        violations.add("include", given, allowed);
        return Vec::new();
    }
    let mut asked = Vec::new();
    for (index, &number) in include.iter().enumerate() {
        match quantity::read(number) {
            Some(quantity) => asked.push(quantity),
            None => {
                violations.add(
                    format!("include[{index}]"),
                    number,
                    "QUANTITY_X (1) to QUANTITY_B (13)",
                );
                break;
            }
        }
    }
    let all = include.is_empty();
    Quantity::ALL
        .into_iter()
        .filter(|quantity| all || asked.contains(quantity))
        .collect()
}
