//! Replies of the services become what was asked for.

use std::sync::Arc;

use backpropd_json::{Method, WriteError, append, write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes};
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tonic::body::Body;
use tonic::{Code, Status};

use super::answers::{PREFIX, enveloped};
use super::errors;
use super::forms::{Codec, ReplyForm};
use super::schema::SCHEMA;
use super::turns::{Customer, Turns};
use crate::host::limits::memory::{Account, OutOfMemory, Reservation};
use crate::status::internal;
use crate::transport::bodies::{Delivery, ReplyBody, ReplyMemory};
use crate::transport::peer::{Active, Peer};

/// The flag of the trailers in gRPC-Web.
const TRAILERS: u8 = 0x80;

/// The way of a reply to its connection.
pub struct Way {
    /// The called method.
    pub method: &'static Method,
    /// Turns for large conversions.
    pub turns: Turns,
    /// Who takes them.
    pub customer: Customer,
    /// What the memory of the reply is reserved from.
    pub account: Arc<Account>,
    /// The connection.
    pub peer: Option<Arc<Peer>>,
    /// Keeps the connection busy until the reply is sent.
    pub active: Option<Active>,
}

impl Way {
    /// Sends `body`, whose parts are counted on the way.
    fn send(self, body: Body, memory: ReplyMemory, delivery: Delivery) -> ReplyBody {
        ReplyBody::new(body, memory, self.peer, self.active, delivery)
    }

    fn in_parts(self, body: Body, delivery: Delivery) -> ReplyBody {
        let memory = ReplyMemory::InParts(Reservation::default(), Arc::clone(&self.account));
        self.send(body, memory, delivery)
    }
}

/// Converts the reply of the services to `form`.
pub async fn convert(
    response: Response<ReplyBody>,
    form: ReplyForm,
    way: Way,
) -> Response<ReplyBody> {
    let (mut parts, body) = response.into_parts();
    // As that of the call itself.
    let delivery = body.delivery();
    let early = Status::from_header_map(&parts.headers);
    let early = early.filter(|status| status.code() != Code::Ok);
    parts.headers.remove(CONTENT_LENGTH);
    let content_type = HeaderValue::from_static(form.content_type());
    parts.headers.insert(CONTENT_TYPE, content_type);
    if let ReplyForm::Web { is_text } = form {
        // An error without a message stays in the headers, where clients of gRPC-Web look for it.
        let body = match early {
            Some(_) => Body::empty(),
            None => stream(body, form, &way, is_text),
        };
        return Response::from_parts(parts, way.in_parts(body, delivery));
    }
    for header in [
        Status::GRPC_STATUS,
        Status::GRPC_MESSAGE,
        Status::GRPC_STATUS_DETAILS,
    ] {
        parts.headers.remove(header);
    }
    parts
        .headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let answered = match (early, form) {
        (Some(status), _) => Err(status),
        (None, ReplyForm::Whole(codec)) => whole(body, codec, &way).await,
        (None, _) => {
            let body = stream(body, form, &way, false);
            return Response::from_parts(parts, way.in_parts(body, delivery));
        }
    };
    match answered {
        Ok((message, memory)) => {
            let body = Body::new(Full::new(message));
            let memory = ReplyMemory::Counted(Arc::new(memory));
            Response::from_parts(parts, way.send(body, memory, delivery))
        }
        Err(status) => {
            let error = errors::response(&status, form);
            parts.status = error.status();
            let (error_parts, body) = error.into_parts();
            parts.headers.extend(error_parts.headers);
            Response::from_parts(parts, body)
        }
    }
}

/// The message of a reply without a stream, and the memory that it takes.
async fn whole(
    mut body: ReplyBody,
    codec: Codec,
    way: &Way,
) -> Result<(Bytes, Reservation), Status> {
    let mut memory = way.account.nothing();
    let mut bytes = Vec::new();
    let mut status = None;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(piece) => append(&mut bytes, piece.chunk(), &mut memory)?,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                status = Status::from_header_map(&trailers);
            }
        }
    }
    // The server's side of it ends here, and with it what it holds.
    drop(body);
    if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
        return Err(status);
    }
    let message = match split(&bytes) {
        Some((message, [])) => message,
        Some(_) | None => return Err(internal()),
    };
    match codec {
        Codec::Proto => {
            let message = Bytes::copy_from_slice(message);
            memory.extend(message.len())?;
            Ok((message, memory))
        }
        Codec::Json => {
            let (method, size) = (way.method, bytes.len());
            let work = move || {
                let message = &bytes[PREFIX..];
                let text = write(&SCHEMA, SCHEMA.reply_of(method), message, &mut memory);
                memory.shrink(bytes.capacity());
                text.map(|text| (Bytes::from(text), memory))
            };
            way.turns
                .take(size, way.customer, work)
                .await?
                .map_err(refusal)
        }
    }
}

/// The first message of some bytes, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([_, length @ ..], rest) = bytes.split_first_chunk::<PREFIX>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

fn refusal(error: WriteError<OutOfMemory>) -> Status {
    match error {
        WriteError::Malformed => internal(),
        WriteError::Memory(error) => error.into(),
    }
}

/// A stream of messages, on its way.
struct Leaving {
    body: ReplyBody,
    form: ReplyForm,
    method: &'static Method,
    turns: Turns,
    customer: Customer,
    /// What has come and is no whole message yet.
    bytes: Vec<u8>,
    memory: Reservation,
}

fn stream(body: ReplyBody, form: ReplyForm, way: &Way, is_text: bool) -> Body {
    let leaving = Leaving {
        body,
        form,
        method: way.method,
        turns: way.turns.clone(),
        customer: way.customer,
        bytes: Vec::new(),
        memory: way.account.nothing(),
    };
    let parts = unfold(Some(leaving), move |leaving| async move {
        let mut leaving = leaving?;
        let (part, leaving) = match leaving.part().await {
            Ok(Part::Data(data)) => (data, Some(leaving)),
            Ok(Part::End(status)) => (leaving.end(&status), None),
            Err(status) => (leaving.end(&status), None),
        };
        let part = match is_text {
            true => Bytes::from(STANDARD.encode(part)),
            false => part,
        };
        Some((Ok::<_, Status>(Frame::data(part)), leaving))
    });
    Body::new(StreamBody::new(parts))
}

/// A part of a stream.
enum Part {
    Data(Bytes),
    End(Status),
}

impl Leaving {
    async fn part(&mut self) -> Result<Part, Status> {
        loop {
            if let Some(message) = self.message().await? {
                return Ok(Part::Data(message));
            }
            let Some(frame) = self.body.frame().await else {
                return Err(Status::unknown("the reply broke off"));
            };
            match frame?.into_data() {
                Ok(mut piece) => {
                    let length = piece.remaining();
                    if let ReplyForm::Web { .. } = self.form {
                        return Ok(Part::Data(piece.copy_to_bytes(length)));
                    }
                    append(&mut self.bytes, piece.chunk(), &mut self.memory)?;
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let status = Status::from_header_map(&trailers);
                    return Ok(Part::End(
                        status.unwrap_or_else(|| Status::new(Code::Ok, "")),
                    ));
                }
            }
        }
    }

    /// The next message that is whole, as the form writes it.
    async fn message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((message, _)) = split(&self.bytes) else {
            return Ok(None);
        };
        let length = PREFIX + message.len();
        let (form, method) = (self.form, self.method);
        let mut memory = std::mem::take(&mut self.memory);
        let bytes = std::mem::take(&mut self.bytes);
        let work = move || {
            let written = write_part(form, method, &bytes[..length], &mut memory);
            (written, bytes, memory)
        };
        let (written, bytes, memory) = self.turns.take(length, self.customer, work).await?;
        (self.bytes, self.memory) = (bytes, memory);
        self.bytes.drain(..length);
        let written = written.map_err(refusal)?;
        // From here on it is counted where it is sent.
        self.memory.shrink(written.capacity());
        Ok(Some(Bytes::from(written)))
    }

    /// What a stream ends with.
    fn end(&self, status: &Status) -> Bytes {
        match self.form {
            ReplyForm::Web { .. } => {
                let mut trailers = HeaderMap::new();
                // A status that is no header cannot come from the services.
                let _ = status.add_header(&mut trailers);
                let mut text = Vec::new();
                for (name, value) in &trailers {
                    text.extend_from_slice(name.as_str().as_bytes());
                    text.extend_from_slice(b": ");
                    text.extend_from_slice(value.as_bytes());
                    text.extend_from_slice(b"\r\n");
                }
                Bytes::from(enveloped(TRAILERS, &text))
            }
            ReplyForm::Lines | ReplyForm::Enveloped(_) | ReplyForm::Whole(_) => {
                errors::end_of_stream(status, self.form)
            }
        }
    }
}

/// A message with its header, as `form` writes it.
fn write_part(
    form: ReplyForm,
    method: &Method,
    message: &[u8],
    memory: &mut Reservation,
) -> Result<Vec<u8>, WriteError<OutOfMemory>> {
    let held = |error| WriteError::Memory(error);
    let mut part = Vec::new();
    match form {
        ReplyForm::Lines | ReplyForm::Enveloped(Codec::Json) => {
            let text = write(&SCHEMA, SCHEMA.reply_of(method), &message[PREFIX..], memory)?;
            if form == ReplyForm::Lines {
                let mut line = text;
                append(&mut line, b"\n", memory).map_err(held)?;
                return Ok(line);
            }
            let length = u32::try_from(text.len()).map_err(|_| WriteError::Malformed)?;
            append(&mut part, &[0], memory).map_err(held)?;
            append(&mut part, &length.to_be_bytes(), memory).map_err(held)?;
            append(&mut part, &text, memory).map_err(held)?;
            memory.shrink(text.capacity());
        }
        ReplyForm::Enveloped(Codec::Proto) | ReplyForm::Whole(_) | ReplyForm::Web { .. } => {
            append(&mut part, message, memory).map_err(held)?;
        }
    }
    Ok(part)
}
