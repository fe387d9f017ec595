//! GetParameters, and SetParameters: a write that waits its turn like a run.

use std::sync::Arc;
use std::time::SystemTime;

use tonic::{Response, Status};

use super::convert::model::parameters as write_parameters;
use super::convert::request::{check_reply, request_id};
use super::convert::target::{ParameterParts, flatten_in_blocks};
use super::convert::tensor::Encoding;
use super::deadline::Deadline;
use super::encoded::Encoded;
use super::entry::{ModelEntry, ModelScalar, WriteTurn, with_model};
use super::persistence::NotStored;
use super::rope::Rope;
use super::status::{Stop, internal, stopped};
use super::{Server, pb};
use crate::nn::digest::update_in_blocks;
use crate::nn::{Pauses, Violations, WeightsDigest};
use crate::training::{Begin, Fingerprint, Model, Outcome, RequestId};

/// A model's parameters as they are now, in a reply of at most `limit` bytes.
///
/// # Errors
/// A larger reply, a full queue.
pub async fn get(
    server: &Server,
    deadline: Deadline,
    entry: Arc<ModelEntry>,
    encoding: Encoding,
    limit: usize,
) -> Result<Response<pb::GetParametersResponse>, Status> {
    let spec = entry.model.spec();
    let entries = spec.architecture.parameter_count();
    let way_out = "ask for TENSOR_ENCODING_RAW";
    let bytes = encoding.bytes(entries, spec.dtype);
    check_reply(bytes, limit, way_out)?;
    let room = server.room_for_reply(bytes)?;
    let reply = with_model!(entry.model.clone(), model => {
        let work = |turns| async move {
            let (spec, committed) = (model.spec(), model.committed());
            pb::GetParametersResponse {
                parameters: write_parameters(&committed.mlp(spec), encoding, &turns).await,
                step: committed.step.cast_signed(),
                weights_digest: committed.digest_in_blocks(spec, &turns).await.to_string(),
            }
        };
        server.compute_in_blocks(deadline, entries as u64, work).await?.0
    });
    Ok(match room {
        None => Response::new(reply),
        Some(memory) => Encoded::of_message(Rope::of_parameters(reply), memory)
            .answer(pb::GetParametersResponse::default()),
    })
}

/// Parameters to be put in place of a model's own.
pub struct Replacement {
    /// The layers' parameters as they were sent.
    pub parameters: ParameterParts,
    /// Refuses unless the model is at this step when the turn comes.
    pub expected_step: Option<i64>,
    /// Who asks, if it is to be remembered.
    pub request_id: String,
}

impl Replacement {
    /// Waits for the model's turn and replaces its parameters.
    ///
    /// # Errors
    /// Parameters that do not fit, a full queue, another step than expected, a reused id, a server that stops.
    pub async fn apply<T: ModelScalar>(
        self,
        server: &Arc<Server>,
        deadline: Deadline,
        entry: &Arc<ModelEntry>,
        model: Arc<Model<T>>,
    ) -> Result<pb::SetParametersResponse, Status> {
        let mut violations = Violations::new();
        let is_known = !self.request_id.is_empty();
        let request = request_id(self.request_id, || [0; 32], &mut violations);
        violations.into_result(Some(()))?;
        let (parts, expected_step) = (self.parameters, self.expected_step);
        let fitting = Arc::clone(&model);
        let read = |turns| async move {
            let parameters = flatten_in_blocks(fitting.spec(), parts, &turns).await?;
            let mut known = [0; 32];
            if is_known {
                known = fingerprint(&parameters, expected_step, &turns).await;
            }
            Ok::<(Vec<T>, Fingerprint), Violations>((parameters, known))
        };
        let flops = model.spec().architecture.parameter_count() as u64;
        let (parameters, fingerprint) = server.compute_in_blocks(deadline, flops, read).await?.0?;
        let request = request.map(|request| RequestId {
            fingerprint,
            ..request
        });
        let turn = tokio::select! {
            biased;
            () = entry.deleted.cancelled() => return Err(stopped(Stop::Deleted, None)),
            () = server.shutdown.cancelled() => return Err(stopped(Stop::Shutdown, None)),
            turn = entry.write_turn(&server.config) => turn?.0,
        };
        let (step, digest) = match model.begin(request.as_ref(), self.expected_step)? {
            Begin::Replay(Outcome::ParametersSet { step, digest }) => (step, digest),
            Begin::Fresh => {
                server.check_limits(entry)?;
                let (home, entry) = (Arc::clone(server), Arc::clone(entry));
                let replaced = replace(home, entry, model, parameters, request, turn);
                server.finish(replaced).await?
            }
            // Only runs leave these, and a fingerprint tells runs from replacements.
            Begin::Resume { .. } | Begin::Replay(_) => return Err(internal()),
        };
        Ok(reply(step, digest))
    }
}

/// Puts the parameters in place and makes that durable, or takes it back.
async fn replace<T: ModelScalar>(
    server: Arc<Server>,
    entry: Arc<ModelEntry>,
    model: Arc<Model<T>>,
    parameters: Vec<T>,
    request: Option<RequestId>,
    turn: WriteTurn,
) -> Result<(u64, WeightsDigest), Status> {
    let before = model.kept();
    let flops = parameters.len() as u64;
    let (changed, model_entry) = (Arc::clone(&model), Arc::clone(&entry));
    let work = |turns| async move {
        let committed = changed.set_parameters(parameters);
        let digest = committed.digest_in_blocks(changed.spec(), &turns).await;
        let step = committed.step;
        changed.record(request, Outcome::ParametersSet { step, digest });
        model_entry.touch(SystemTime::now());
        (step, digest)
    };
    let (done, _) = server
        .compute_in_blocks(Deadline::NONE, flops, work)
        .await?;
    let turn = Arc::new(turn);
    let stored = server.commit(&entry, &turn, &model, before, None).await;
    stored.map_err(NotStored::status)?;
    Ok(done)
}

fn reply(step: u64, digest: WeightsDigest) -> pb::SetParametersResponse {
    pb::SetParametersResponse {
        step: step.cast_signed(),
        weights_digest: digest.to_string(),
    }
}

async fn fingerprint<T: ModelScalar>(
    parameters: &[T],
    expected_step: Option<i64>,
    pauses: &impl Pauses,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"SetParameters 1");
    hasher.update(&[u8::from(expected_step.is_some())]);
    hasher.update(&expected_step.unwrap_or(0).to_le_bytes());
    update_in_blocks(&mut hasher, parameters, pauses).await;
    hasher.finalize().into()
}
