//! ExportModel and ImportModel: a model as the file that the server itself keeps of it, in pieces.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tonic::{Code, Status, Streaming};

use super::convert::request::{id, random_id, request_id, session_name};
use super::create::access_in;
use super::entry::{ModelEntry, with_model};
use super::persistence::{about, any};
use super::status::{Refusal, Stop, internal, limited, stopped};
use super::streams::Streamed;
use super::{Server, pb, telemetry};
use crate::nn::Violations;
use crate::training::snapshot::{self, SnapshotError};
use crate::training::{Fingerprint, Id, ModelName, Placement, RequestId, SessionName};

/// Bytes in one message: any client takes as many.
const PIECE: usize = 1 << 20;

/// Operations that reading or writing a byte of a file is worth, roughly: hashing, parsing, copying.
const FLOPS_PER_BYTE: u64 = 4;

/// A model's file, piece by piece.
///
/// # Errors
/// A full queue; a panic.
pub async fn export(
    server: &Server,
    entry: Arc<ModelEntry>,
) -> Result<Streamed<pb::ExportModelResponse>, Status> {
    let place = server.streams.take(telemetry::party())?;
    let bytes = entry.model.spec().state_bytes();
    let memory = server.reserve(bytes)?;
    let work = FLOPS_PER_BYTE * bytes as u64;
    let encode = move |_| {
        with_model!(&entry.model, model => {
            snapshot::encode(model.spec(), &model.kept(), &about(&entry))
        })
    };
    let (file, _) = server.compute.run(work, encode).await?;
    let file = file.map_err(|error| {
        tracing::error!(%error, "a model cannot be written");
        internal()
    })?;
    let held = (place, memory);
    let pieces = stream::unfold((Bytes::from(file), held), |(mut file, held)| async move {
        let data = file.split_to(file.len().min(PIECE));
        (!data.is_empty()).then_some((Ok(pb::ExportModelResponse { data }), (file, held)))
    });
    Ok(pieces.boxed())
}

/// A file as it was sent, and where its model is to go.
pub struct Import {
    session: Option<SessionName>,
    model: Id,
    request: Option<RequestId>,
    file: Vec<u8>,
}

impl Import {
    /// Receives the whole file.
    ///
    /// # Errors
    /// Bad names, a file that is too large, a sender who stops.
    pub async fn receive(
        mut pieces: Streaming<pb::ImportModelRequest>,
        server: &Server,
    ) -> Result<Self, Status> {
        let first = next(&mut pieces, server).await?.unwrap_or_default();
        let mut violations = Violations::new();
        let session = if first.session.is_empty() {
            None
        } else {
            session_name(&first.session, "session", &mut violations)
        };
        let model = id(&first.model_id, "model_id", &mut violations)?;
        // Refused before the file is sent in vain.
        request_id(first.request_id.clone(), || [0; 32], &mut violations);
        let model = violations.into_result(model)?;

        let most = server.config.max_import_bytes;
        let mut file = Vec::new();
        let mut piece = Some(first.clone());
        while let Some(pb::ImportModelRequest {
            session,
            model_id,
            request_id,
            data,
        }) = piece
        {
            check_repeated(&first, [&session, &model_id, &request_id])?;
            if file.len() + data.len() > most {
                let message = format!(
                    "the file is larger than {most} bytes (max_import_bytes): import a smaller model, or have the \
                     limit raised"
                );
                return Err(limited("QUOTA", "max_import_bytes", most as u64, &message));
            }
            // The piece itself is counted; the file's buffer may be twice as large as what is in it.
            server.hold(data.len())?;
            file.extend_from_slice(&data);
            piece = next(&mut pieces, server).await?;
        }
        let mut violations = Violations::new();
        let request = request_id(
            first.request_id.clone(),
            || fingerprint(&first, &file),
            &mut violations,
        );
        violations.into_result(Some(()))?;
        Ok(Self {
            session,
            model,
            request,
            file,
        })
    }

    /// Makes the model, unless the same request made it before.
    ///
    /// # Errors
    /// A file that is damaged or of something else, a model beyond the limits, a taken id, no room.
    pub async fn create(self, server: &Arc<Server>) -> Result<pb::Model, Status> {
        let Self {
            session,
            model,
            request,
            file,
        } = self;
        let (limits, remembered) = (server.limits, server.config.request_ids_per_model);
        let work = FLOPS_PER_BYTE * file.len() as u64;
        // The model, and a copy on the way there.
        server.hold(file.len().saturating_mul(2))?;
        let decode = move |_| {
            let (restored, about) = snapshot::decode(&file, &limits, remembered)?;
            let model = any(restored);
            // Computes the digest while on a compute thread.
            model.step_and_digest();
            Ok::<_, SnapshotError>((model, about))
        };
        let (decoded, _) = server.compute.run(work, decode).await?;
        let (restored, about) = decoded.map_err(|error| not_imported(&error))?;
        let new_session = session.is_none();
        let session = match session {
            Some(session) => session,
            None => SessionName(random_id()?),
        };
        let placement = Placement {
            name: ModelName { session, model },
            new_session,
            bytes: restored.spec().state_bytes(),
            request,
            owner: telemetry::owner(),
        };
        telemetry::note_model(&placement.name);
        let now = SystemTime::now();
        let made = server.registry().check(&placement, now)?;
        let entry = match made {
            Some(made) => server.keep_found(server.find(&made).await?).await?,
            None => {
                let access = access_in(server, &placement, about.access, now)?;
                let (name, made_by) = (placement.name.clone(), placement.request.clone());
                let entry = ModelEntry::new(name, restored, access, made_by, now);
                let entry = Arc::new(entry.with_compare(about.compare));
                server.keep_model(placement, entry, now).await?
            }
        };
        server.describe_one(entry).await
    }
}

/// The next piece, as long as the sender sends.
async fn next(
    pieces: &mut Streaming<pb::ImportModelRequest>,
    server: &Server,
) -> Result<Option<pb::ImportModelRequest>, Status> {
    let patience = Duration::from_secs(server.config.stall_seconds);
    tokio::select! {
        biased;
        () = server.shutdown.cancelled() => Err(stopped(Stop::Shutdown, None)),
        piece = tokio::time::timeout(patience, pieces.message()) => piece.unwrap_or_else(|_| {
            let message = format!(
                "no piece of the file came for {} s (stall_seconds): send it again, faster",
                patience.as_secs()
            );
            Err(Refusal::new(Code::DeadlineExceeded, "DEADLINE", message).status())
        }),
    }
}

/// Names belong into the first message; a client that repeats them means the same ones.
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
    Ok(violations.into_result(Some(()))?)
}

fn not_imported(error: &SnapshotError) -> Status {
    let mut violations = Violations::new();
    let allowed = format!("the bytes of one ExportModel, all of them in order; {error}");
    violations.add("data", "a file that cannot be used", allowed);
    violations.into()
}

fn fingerprint(first: &pb::ImportModelRequest, file: &[u8]) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"ImportModel 1");
    for name in [&first.session, &first.model_id] {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.update(file);
    hasher.finalize().into()
}
