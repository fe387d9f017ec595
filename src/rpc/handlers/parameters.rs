//! GetParameters and SetParameters.

use std::sync::Arc;

use tonic::{Response, Status};

use crate::encoded::Encoded;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::any_model::with_model;
use crate::host::models::replacement::Replacement;
use crate::host::refused::Refused;
use crate::rpc::convert::model::parameters as write_parameters;
use crate::rpc::convert::shared_fields::{check_reply, model_name, reply_limit, request_id};
use crate::rpc::convert::target::read_parameters;
use crate::rpc::convert::tensor::Encoding;
use crate::rpc::{large_reply, pb};

/// Answers GetParameters.
///
/// # Errors
/// An unknown model, a reply that is too large, or a full queue.
pub async fn get(
    host: &Host,
    caller: &Caller,
    request: pb::GetParametersRequest,
) -> Result<Response<pb::GetParametersResponse>, Status> {
    let mut violations = Violations::new();
    let name = model_name(&request.model, "model", &mut violations);
    let encoding = Encoding::of_reply(request.encoding, None, &mut violations);
    let most = host.config.max_reply_bytes;
    let limit = reply_limit(request.max_reply_bytes, most, &mut violations);
    let name = violations.into_result(name).map_err(Refused::from)?;
    let entry = host.open(caller, &name).await?;
    let spec = entry.model.spec();
    let entries = spec.architecture.parameter_count();
    let bytes = encoding.bytes(entries, spec.dtype);
    check_reply(bytes, limit, "ask for TENSOR_ENCODING_RAW")?;
    let room = large_reply::room_for(host, caller, bytes)?;
    let reply = with_model!(entry.model.get(), model => {
        let work = |turns| async move {
            let (spec, committed) = (model.spec(), model.committed());
            pb::GetParametersResponse {
                parameters: write_parameters(&committed.mlp(spec), encoding, &turns).await,
                step: committed.step.cast_signed(),
                weights_digest: committed.digest_in_blocks(spec, &turns).await.to_string(),
            }
        };
        host.compute_in_blocks(caller, entries as u64, work).await?.0
    });
    Ok(match room {
        None => Response::new(reply),
        Some(memory) => Encoded::of_message(large_reply::parameters(reply), memory)
            .answer(pb::GetParametersResponse::default()),
    })
}

/// Answers SetParameters.
///
/// # Errors
/// An unknown model, parameters that do not fit it, an unexpected step, a limit, or a failed write.
pub async fn set(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    request: pb::SetParametersRequest,
) -> Result<Response<pb::SetParametersResponse>, Status> {
    let mut violations = Violations::new();
    let name = model_name(&request.model, "model", &mut violations);
    // An existing model may have more layers than the limit for new ones.
    let parameters = read_parameters(request.parameters, usize::MAX, &mut violations);
    request_id(request.request_id.clone(), || [0; 32], &mut violations);
    let (name, parameters) = violations
        .into_result(name.zip(parameters))
        .map_err(Refused::from)?;
    let replacement = Replacement {
        parameters,
        expected_step: request.expected_step,
        request_id: request.request_id,
    };
    let (step, digest) = host.set_parameters(caller, &name, replacement).await?;
    Ok(Response::new(pb::SetParametersResponse {
        step: step.cast_signed(),
        weights_digest: digest.to_string(),
    }))
}
