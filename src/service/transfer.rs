//! ExportModel and ImportModel: a model as the file that the server itself keeps of it, in pieces.

use std::sync::Arc;
use std::time::Duration;

use blake3::Hasher;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tonic::{Code, Response, Status, Streaming};

use super::convert::request::{id, random_id, request_id, session_name};
use super::create::access_in;
use super::encoded::Encoded;
use super::entry::{ModelEntry, with_model};
use super::persistence::{about, any};
use super::status::{Refusal, Stop, internal, limited, stopped};
use super::streams::Streamed;
use super::{Server, pb, telemetry};
use crate::nn::Violations;
use crate::training::snapshot::{self, Body, Head, Rules, SnapshotError};
use crate::training::{Id, ModelName, Placement, RequestId, SessionName};

/// Bytes in one message: any client takes as many.
const PIECE: usize = 1 << 20;

/// Bytes before a file's header: its length.
const HEAD_BEFORE: usize = 8;

/// Operations that reading or writing a byte of a file is worth, roughly: hashing, parsing, copying.
const FLOPS_PER_BYTE: u64 = 4;

/// A model's file, piece by piece.
///
/// # Errors
/// No memory for it; a full queue; a panic.
pub async fn export(
    server: &Server,
    entry: Arc<ModelEntry>,
) -> Result<Response<Streamed<pb::ExportModelResponse>>, Status> {
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
    let file = Encoded::of_file(file.into(), PIECE, memory, place);
    Ok(file.answer(stream::empty().boxed()))
}

/// A model as it was received, and where it is to go.
pub struct Import {
    session: Option<SessionName>,
    model: Id,
    request: Option<RequestId>,
    received: Received,
}

/// A file whose bytes are all there; its numbers lie where the model has them.
struct Received {
    body: Body,
    /// What the model takes.
    bytes: usize,
}

impl Import {
    /// Receives the whole file. Its numbers go straight to their places, so that the model is held once.
    ///
    /// # Errors
    /// Bad names, a file that is too large or no model, a sender who stops.
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

        let names = pb::ImportModelRequest {
            data: Bytes::new(),
            ..first.clone()
        };
        let mut fingerprint = fingerprint(&names);
        let mut receiving = Receiving::new(server);
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
            (receiving, fingerprint) = receiving.take(server, data, fingerprint).await?;
            telemetry::release(used);
            piece = next(&mut pieces, server).await?;
        }
        let mut violations = Violations::new();
        let request = request_id(
            names.request_id,
            || fingerprint.finalize().into(),
            &mut violations,
        );
        violations.into_result(Some(()))?;
        Ok(Self {
            session,
            model,
            request,
            received: receiving.finish()?,
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
            received,
        } = self;
        let Received { body, bytes } = received;
        let work = FLOPS_PER_BYTE * bytes as u64;
        let decode = move |_| {
            let (restored, about) = body.finish()?;
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
            bytes,
            request,
            owner: telemetry::owner(),
        };
        telemetry::note_model(&placement.name);
        let now = server.now();
        let made = server.registry().check(&placement, now)?;
        let entry = match made {
            Some(made) => server.keep_found(server.find(&made).await?).await?,
            None => {
                let access = access_in(server, &placement, about.access, now)?;
                let (name, made_by) = (placement.name.clone(), placement.request.clone());
                let entry = ModelEntry::new(name, restored, access, made_by, now.date);
                let entry = Arc::new(entry.with_compare(about.compare));
                server.keep_model(placement, entry, now).await?
            }
        };
        server.describe_one(entry).await
    }
}

/// A file of which pieces have come. The pieces themselves are counted where they come in.
struct Receiving {
    rules: Rules,
    /// Bytes so far.
    length: usize,
    part: Part,
}

enum Part {
    /// The head, as far as it is there.
    Head(Vec<u8>),
    /// The whole head and the first numbers after it, which there is no room for yet.
    Found {
        head: Box<Head>,
        start: Vec<u8>,
        rest: Bytes,
    },
    /// The numbers; the model takes so many bytes.
    Body { body: Box<Body>, bytes: usize },
}

impl Receiving {
    fn new(server: &Server) -> Self {
        Self {
            rules: Rules::sent(server.limits, server.config.request_ids_per_model),
            length: 0,
            part: Part::Head(Vec::new()),
        }
    }

    /// Takes a piece, on a compute thread where it is large, and adds it to the fingerprint.
    async fn take(
        mut self,
        server: &Server,
        data: Bytes,
        mut fingerprint: Hasher,
    ) -> Result<(Self, Hasher), Status> {
        self.length = self.length.saturating_add(data.len());
        check_length(self.length, server.config.max_import_bytes)?;
        if let Part::Head(start) = &self.part {
            // The copy of it; what comes after the head is not copied.
            let room = self.rules.largest_header().saturating_add(HEAD_BEFORE);
            server.hold(data.len().min(room.saturating_sub(start.len())))?;
        }
        let work = FLOPS_PER_BYTE * data.len() as u64;
        let taken = move |_| {
            fingerprint.update(&data);
            self.add(data).map(|()| (self, fingerprint))
        };
        let (mut this, fingerprint) = server.compute.run(work, taken).await?.0?;
        if let Part::Found { head, .. } = &this.part {
            check_length(head.file_bytes(), server.config.max_import_bytes)?;
            let bytes = head.held_bytes();
            server.hold(bytes)?;
            let begin = move |_| this.begin(bytes).map(|()| this);
            this = server.compute.run(work, begin).await?.0?;
        }
        Ok((this, fingerprint))
    }

    fn add(&mut self, data: Bytes) -> Result<(), Status> {
        match &mut self.part {
            Part::Body { body, .. } => body.push(&data).map_err(|error| not_imported(&error)),
            Part::Head(start) => {
                let room = self.rules.largest_header().saturating_add(HEAD_BEFORE);
                let seen = start.len();
                let more = data.len().min(room.saturating_sub(seen));
                start.extend_from_slice(&data[..more]);
                let found = Head::read(start, &self.rules).map_err(|error| not_imported(&error))?;
                if let Some((head, end)) = found {
                    // The head ends in this piece: before it was complete, all that came was part of it.
                    let rest = data.slice(end - seen..);
                    let mut start = std::mem::take(start);
                    start.truncate(end);
                    let head = Box::new(head);
                    self.part = Part::Found { head, start, rest };
                }
                Ok(())
            }
            // It is begun before the next piece is taken.
            Part::Found { .. } => Err(internal()),
        }
    }

    /// Makes room for the numbers, and takes the first of them.
    fn begin(&mut self, bytes: usize) -> Result<(), Status> {
        let part = std::mem::replace(&mut self.part, Part::Head(Vec::new()));
        let Part::Found { head, start, rest } = part else {
            return Err(internal());
        };
        let mut hasher = Hasher::new();
        hasher.update(&start);
        let mut body = Box::new(head.into_body(Some(hasher)));
        let pushed = body.push(&rest).map_err(|error| not_imported(&error));
        self.part = Part::Body { body, bytes };
        pushed
    }

    fn finish(self) -> Result<Received, Status> {
        match self.part {
            Part::Body { body, bytes } => Ok(Received { body: *body, bytes }),
            Part::Head(_) | Part::Found { .. } => Err(not_imported(&SnapshotError::Damaged)),
        }
    }
}

/// Refuses a file that is longer than `max_import_bytes` allows. Without that setting its own head says how long it is,
/// and the limits on models how long that may be.
fn check_length(length: usize, most: usize) -> Result<(), Status> {
    if most == 0 || length <= most {
        return Ok(());
    }
    let message = format!(
        "the file is larger than {most} bytes (max_import_bytes): import a smaller model, or have the limit raised"
    );
    Err(limited("QUOTA", "max_import_bytes", most as u64, &message))
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

/// What tells this request from others, as far as its names go; the file is to follow.
fn fingerprint(names: &pb::ImportModelRequest) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(b"ImportModel 1");
    for name in [&names.session, &names.model_id] {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher
}
