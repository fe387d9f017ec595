//! ExportModel and ImportModel: a model as a stream of pieces of its snapshot file.

use std::sync::Arc;

use blake3::Hasher;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tonic::{Response, Status, Streaming};

use super::streams::{Streamed, next_message};
use crate::encoded::Encoded;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::file::FileReceiver;
use crate::host::refused::Refused;
use crate::host::resource::Resource;
use crate::rpc::convert::model::write_model;
use crate::rpc::convert::shared_fields::{id, random_id, request_id, session_name};
use crate::rpc::pb;
use crate::training::{ModelName, SessionName};

/// Bytes in one message, within the default limit of every client.
const PIECE: usize = 1 << 20;

/// What a sender that stalls is told.
const AGAIN: [&str; 2] = ["no piece of the file", "send it again, faster"];

/// Answers ExportModel with the model's file, piece by piece.
///
/// # Errors
/// An unknown model, no memory for the file, or a full queue.
pub async fn export(
    host: &Host,
    caller: &Caller,
    name: &ModelName,
) -> Result<Response<Streamed<pb::ExportModelResponse>>, Status> {
    let export = host.export(caller, name);
    let (file, memory, slot) = caller.deadline.limit(export).await?;
    let file = Encoded::of_file(file, PIECE, memory, slot);
    Ok(file.answer(stream::empty().boxed()))
}

/// Receives a file and answers ImportModel. The entries are decoded straight into the model, so that memory holds it
/// once.
///
/// # Errors
/// Invalid names, a file that is too long or not a model, a sender that stalls, a taken id, or a limit.
pub async fn import(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    pieces: Streaming<pb::ImportModelRequest>,
) -> Result<Response<pb::ImportModelResponse>, Status> {
    let imported = receive(host, caller, pieces);
    let model = caller.deadline.limit(imported).await?;
    Ok(Response::new(pb::ImportModelResponse {
        model: Some(model),
    }))
}

async fn receive(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    mut pieces: Streaming<pb::ImportModelRequest>,
) -> Result<pb::Model, Status> {
    let first = next_message(&mut pieces, host, AGAIN)
        .await?
        .unwrap_or_default();
    let mut violations = Violations::new();
    let session = if first.session.is_empty() {
        None
    } else {
        session_name(&first.session, "session", &mut violations)
    };
    let chosen = host.id_of_request(session.as_ref(), &first.model_id, &first.request_id);
    let model = match chosen {
        Some(id) => Some(id),
        None => id(&first.model_id, "model_id", &mut violations)?,
    };
    // Refuse a bad request id before the client sends the file.
    request_id(first.request_id.clone(), || [0; 32], &mut violations);
    let model = violations.into_result(model).map_err(Refused::from)?;
    if let Some(session) = &session {
        caller.note(|| {
            let (session, model) = (session.clone(), model.clone());
            Resource::Model(ModelName { session, model })
        });
        host.admit(caller, session).await?;
    }

    let names = pb::ImportModelRequest {
        data: Bytes::new(),
        ..first.clone()
    };
    let mut fingerprint = fingerprint(&names);
    let mut receiver = FileReceiver::new(host);
    let mut piece = Some(first);
    while let Some(pb::ImportModelRequest {
        session,
        model_id,
        request_id,
        data,
    }) = piece
    {
        check_repeated(&names, [&session, &model_id, &request_id])?;
        let used = data.len();
        (receiver, fingerprint) = receiver.take(host, caller, data, fingerprint).await?;
        caller.release(used);
        piece = next_message(&mut pieces, host, AGAIN).await?;
    }
    let mut violations = Violations::new();
    let request = request_id(
        names.request_id,
        || fingerprint.finalize().into(),
        &mut violations,
    );
    violations.into_result(Some(())).map_err(Refused::from)?;
    let received = receiver.finish()?;
    let new_session = session.is_none();
    let session = match session {
        Some(session) => session,
        None => SessionName(random_id()?),
    };
    let name = (ModelName { session, model }, new_session);
    let state = host.import(caller, name, request, received).await?;
    Ok(write_model(&state, &host.grading.veil))
}

/// Names belong in the first message; later messages may repeat them unchanged.
fn check_repeated(first: &pb::ImportModelRequest, names: [&String; 3]) -> Result<(), Status> {
    let allowed = [&first.session, &first.model_id, &first.request_id];
    let mut violations = Violations::new();
    for ((field, given), allowed) in ["session", "model_id", "request_id"]
        .into_iter()
        .zip(names)
        .zip(allowed)
    {
        if !given.is_empty() && given != allowed {
            let allowed = format!("empty, or {allowed:?} as in the first message");
            violations.add(field, format!("{given:?} in a later message"), allowed);
        }
    }
    Ok(violations.into_result(Some(())).map_err(Refused::from)?)
}

/// The part of the request's fingerprint that covers its names; the file is added as it arrives.
fn fingerprint(names: &pb::ImportModelRequest) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(b"ImportModel 1");
    for name in [&names.session, &names.model_id] {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher
}
