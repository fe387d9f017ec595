//! CopyModel.

use std::sync::Arc;

use tonic::{Response, Status};

use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::Refused;
use crate::rpc::convert::model::write_model;
use crate::rpc::convert::shared_fields::{id, model_name, random_id, request_id, session_name};
use crate::rpc::pb;
use crate::training::{Fingerprint, ModelName, SessionName};

/// Answers CopyModel.
///
/// # Errors
/// Invalid fields, an unknown model or session, a taken id, a quota, or a failed write.
pub async fn copy(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    request: pb::CopyModelRequest,
) -> Result<Response<pb::CopyModelResponse>, Status> {
    let mut violations = Violations::new();
    let source = model_name(&request.model, "model", &mut violations);
    let new_session = request.session.is_empty();
    let session = if new_session {
        Some(SessionName(random_id()?))
    } else {
        session_name(&request.session, "session", &mut violations)
    };
    let model = id(&request.model_id, "model_id", &mut violations)?;
    let known = fingerprint(&request);
    let request = request_id(request.request_id, || known, &mut violations);
    let all = source.zip(session).zip(model);
    let ((source, session), model) = violations.into_result(all).map_err(Refused::from)?;
    let name = (ModelName { session, model }, new_session);
    let copied = host.copy_model(caller, &source, name, request);
    let state = caller.deadline.limit(copied).await?;
    Ok(Response::new(pb::CopyModelResponse {
        model: Some(write_model(&state, &host.grading.veil)),
    }))
}

/// A fingerprint of a CopyModel request without its id.
fn fingerprint(request: &pb::CopyModelRequest) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"CopyModel 1");
    for name in [&request.model, &request.session, &request.model_id] {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.finalize().into()
}
