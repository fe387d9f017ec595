//! UpdateModel.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Response, Status};

use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::Refused;
use crate::rpc::convert::model::write_model;
use crate::rpc::convert::shared_fields::{model_name, request_id};
use crate::rpc::convert::update_mask::read_update;
use crate::rpc::pb;
use crate::training::Fingerprint;

/// Answers UpdateModel.
///
/// # Errors
/// Invalid fields, an unknown model, an unexpected step, a limit, or a failed write.
pub async fn update(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    mut request: pb::UpdateModelRequest,
) -> Result<Response<pb::UpdateModelResponse>, Status> {
    let mut violations = Violations::new();
    let name = model_name(&request.model, "model", &mut violations);
    // The fingerprint covers everything but the id. A spec in a request is small: only the fields of its training count.
    let id = std::mem::take(&mut request.request_id);
    if let Some(spec) = &mut request.spec {
        spec.layers.clear();
    }
    let known = fingerprint(&request);
    let update = read_update(request.spec, request.update_mask, &mut violations);
    let id = request_id(id, || known, &mut violations);
    let (name, update) = violations
        .into_result(name.zip(update))
        .map_err(Refused::from)?;
    let updated = host.update_model(caller, &name, update, request.expected_step, id);
    Ok(Response::new(pb::UpdateModelResponse {
        model: Some(write_model(&updated.await?, &host.grading.veil)),
    }))
}

fn fingerprint(request: &pb::UpdateModelRequest) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"UpdateModel 1");
    hasher.update(&request.encode_to_vec());
    hasher.finalize().into()
}
