//! Gradients and Predict: reads of the last committed weights. Small ones are computed whole, large ones in blocks.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Server;
use super::convert::request::{check_reply, reply_limit};
use super::convert::target::{Asked, BatchParts, Target};
use super::convert::tensor::{Encoding, Rank, TensorParts};
use super::convert::training::timings;
use super::deadline::Deadline;
use super::encoded::Encoded;
use super::entry::{ModelScalar, with_model};
use super::examine::{self, QUANTITIES};
use super::pb;
use super::predict::{self, Extras, entries_per_row, predict_bytes};
use super::reply::GradientsReply;
use super::rope::Rope;
use crate::nn::batch::check_inputs;
use crate::nn::pauses::is_long;
use crate::nn::{Batch, Matrix, Violations};
use crate::training::{Model, Spec};

/// A batch of more numbers than this is read in blocks.
pub const MANY_ENTRIES: u64 = 1 << 18;

/// A batch that fits the spec, in the model's type or another one.
///
/// # Errors
/// Everything that does not fit; the deadline; a full queue.
pub async fn typed<T: ModelScalar>(
    server: &Server,
    deadline: Deadline,
    spec: &Spec,
    batch: BatchParts,
) -> Result<Batch<T>, Status> {
    let (entries, most, spec) = (batch.entries(), server.config.max_batch_rows, spec.clone());
    let typed = if entries > MANY_ENTRIES {
        let read = |turns| async move { batch.typed_in_blocks(&spec, most, &turns).await };
        server.compute_in_blocks(deadline, entries, read).await?.0
    } else {
        let read = move |_| batch.typed(&spec, most);
        server.compute_by(deadline, entries, read).await?.0
    };
    Ok(typed?)
}

/// Answers Gradients.
pub async fn gradients(
    server: &Arc<Server>,
    request: Request<pb::GradientsRequest>,
) -> Result<Response<GradientsReply>, Status> {
    let deadline = Deadline::of(request.metadata());
    let request = request.into_inner();
    let mut violations = Violations::new();
    let target = Target::read(request.target.map(Asked::from), server, &mut violations);
    let batch = BatchParts::read(
        request.inputs,
        request.targets,
        request.labels,
        &mut violations,
    );
    let include = read_include(&request.include, &mut violations);
    let encoding = Encoding::of_reply(
        request.encoding,
        batch.as_ref().map(|b| &b.inputs),
        &mut violations,
    );
    let limit = reply_limit(
        request.max_reply_bytes,
        server.config.max_reply_bytes,
        &mut violations,
    );
    let (target, batch) = violations.into_result(target.zip(batch))?;

    with_model!(target.find(server).await?, model => {
        let spec = model.spec();
        let batch = typed_for(server, deadline, &model, batch).await?;
        let (architecture, rows) = (&spec.architecture, batch.rows());
        let memory = server.workspace(examine::gradients_bytes(&model, rows))?;
        let bytes = include.iter().map(|&quantity| {
            encoding.bytes(examine::entries(quantity, architecture, rows), spec.dtype)
        });
        let way_out = "name fewer quantities in `include`, send fewer rows";
        let bytes = bytes.sum();
        check_reply(bytes, limit, way_out)?;
        let room = server.room_for_reply(bytes)?;
        let flops = 3 * architecture.forward_flops(rows);
        server.check_work(flops, "use a smaller network")?;
        let (mut reply, timing) = if is_long(architecture, rows, 3) {
            let work = |turns| async move {
                let _memory = memory;
                examine::gradients_in_blocks(&model, &batch, &include, encoding, &turns).await
            };
            server.compute_in_blocks(deadline, flops, work).await?
        } else {
            let work = move |par| {
                let _memory = memory;
                examine::gradients(&model, &batch, &include, encoding, par)
            };
            server.compute_by(deadline, flops, work).await?
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

/// [`typed`] in the model's own type, which a small batch is read into without a copy of the spec.
async fn typed_for<T: ModelScalar>(
    server: &Server,
    deadline: Deadline,
    model: &Arc<Model<T>>,
    batch: BatchParts,
) -> Result<Batch<T>, Status> {
    let entries = batch.entries();
    if entries > MANY_ENTRIES {
        return typed(server, deadline, model.spec(), batch).await;
    }
    let (most, model) = (server.config.max_batch_rows, Arc::clone(model));
    let read = move |_| batch.typed(model.spec(), most);
    Ok(server.compute_by(deadline, entries, read).await?.0?)
}

/// Answers Predict.
pub async fn predict(
    server: &Arc<Server>,
    request: Request<pb::PredictRequest>,
) -> Result<Response<pb::PredictResponse>, Status> {
    let deadline = Deadline::of(request.metadata());
    let request = request.into_inner();
    let mut violations = Violations::new();
    let target = Target::read(request.target.map(Asked::from), server, &mut violations);
    let inputs = TensorParts::read(request.inputs, "inputs", Rank::Matrix, &mut violations);
    let encoding = Encoding::of_reply(request.encoding, inputs.as_ref(), &mut violations);
    let limit = reply_limit(
        request.max_reply_bytes,
        server.config.max_reply_bytes,
        &mut violations,
    );
    let (target, inputs) = violations.into_result(target.zip(inputs))?;
    let extras = Extras {
        probabilities: request.probabilities,
        classes: request.classes,
        trace: request.trace,
    };

    with_model!(target.find(server).await?, model => {
        let spec = model.spec();
        let (entries, most) = (inputs.entries() as u64, server.config.max_batch_rows);
        let asked = Arc::clone(&model);
        let inputs = if entries > MANY_ENTRIES {
            let read = |turns| async move {
                let inputs = inputs.into_matrix_in_blocks(&turns).await;
                check(asked.spec(), extras, inputs, most)
            };
            server.compute_in_blocks(deadline, entries, read).await?.0?
        } else {
            let read = move |_| check(asked.spec(), extras, inputs.into_matrix(), most);
            server.compute_by(deadline, entries, read).await?.0?
        };
        let (architecture, rows) = (&spec.architecture, inputs.rows);
        let memory = server.workspace(predict_bytes(&model, rows))?;
        let entries = rows * entries_per_row(architecture, extras);
        let bytes = encoding.bytes(entries, spec.dtype);
        check_reply(bytes, limit, "send fewer rows")?;
        let room = server.room_for_reply(bytes)?;
        let flops = architecture.forward_flops(rows);
        server.check_work(flops, "use a smaller network")?;
        let (mut reply, timing) = if is_long(architecture, rows, 1) {
            let work = |turns| async move {
                let (_memory, inputs) = (memory, &inputs.entries);
                predict::predict_in_blocks(&model, inputs, rows, extras, encoding, &turns).await
            };
            server.compute_in_blocks(deadline, flops, work).await?
        } else {
            let work = move |par| {
                let _memory = memory;
                predict::predict(&model, &inputs.entries, rows, extras, encoding, par)
            };
            server.compute_by(deadline, flops, work).await?
        };
        reply.timings = Some(timings(timing));
        Ok(match room {
            None => Response::new(reply),
            Some(memory) => Encoded::of_message(Rope::of_prediction(reply), memory)
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

fn read_include(include: &[i32], violations: &mut Violations) -> Vec<pb::Quantity> {
    if include.len() > QUANTITIES.len() {
        let given = format!("{} quantities", include.len());
        let allowed = format!("at most {}, each once", QUANTITIES.len());
        violations.add("include", given, allowed);
        return Vec::new();
    }
    let mut asked = Vec::new();
    for (index, &number) in include.iter().enumerate() {
        match pb::Quantity::try_from(number) {
            Ok(quantity) if quantity != pb::Quantity::Unspecified => asked.push(quantity),
            Ok(_) | Err(_) => {
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
    QUANTITIES
        .into_iter()
        .filter(|quantity| all || asked.contains(quantity))
        .collect()
}
