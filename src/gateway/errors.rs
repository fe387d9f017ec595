//! Errors as JSON, in the form of the Connect protocol: `{"code", "message", "details"}`, and the HTTP status that
//! belongs to the code.

use backpropd_json::{Unlimited, write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use prost::Message as _;
use serde::Serialize;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::answers::{answer, last_envelope};
use super::forms::{Codec, ReplyForm};
use super::schema::SCHEMA;
use crate::transport::bodies::ReplyBody;

/// An error.
#[derive(Serialize)]
struct ErrorText<'s> {
    code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'s str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// A detail: the message as bytes for programs, as JSON for readers.
#[derive(Serialize)]
struct Detail {
    r#type: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Value>,
}

/// The end of a stream, or a line of one.
#[derive(Serialize)]
struct EndOfStream<'s> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorText<'s>>,
}

/// The spelling of a code, and the HTTP status of an error with it.
pub fn spelled(code: Code) -> (&'static str, StatusCode) {
    // Nginx's status for a client that has gone, which the protocol takes over.
    let client_closed = StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT);
    match code {
        Code::Ok => ("ok", StatusCode::OK),
        Code::Cancelled => ("canceled", client_closed),
        Code::Unknown => ("unknown", StatusCode::INTERNAL_SERVER_ERROR),
        Code::InvalidArgument => ("invalid_argument", StatusCode::BAD_REQUEST),
        Code::DeadlineExceeded => ("deadline_exceeded", StatusCode::GATEWAY_TIMEOUT),
        Code::NotFound => ("not_found", StatusCode::NOT_FOUND),
        Code::AlreadyExists => ("already_exists", StatusCode::CONFLICT),
        Code::PermissionDenied => ("permission_denied", StatusCode::FORBIDDEN),
        Code::ResourceExhausted => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
        Code::FailedPrecondition => ("failed_precondition", StatusCode::BAD_REQUEST),
        Code::Aborted => ("aborted", StatusCode::CONFLICT),
        Code::OutOfRange => ("out_of_range", StatusCode::BAD_REQUEST),
        Code::Unimplemented => ("unimplemented", StatusCode::NOT_IMPLEMENTED),
        Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        Code::DataLoss => ("data_loss", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
    }
}

fn error(status: &Status) -> ErrorText<'_> {
    let details = tonic_types::Status::decode(status.details()).unwrap_or_default();
    let detail = |any: prost_types::Any| {
        let name = any.type_url.rsplit('/').next().unwrap_or_default();
        let text = SCHEMA
            .message(name)
            .and_then(|message| write(&SCHEMA, message, &any.value, &mut Unlimited).ok());
        Detail {
            r#type: name.to_owned(),
            value: STANDARD_NO_PAD.encode(&any.value),
            debug: text.and_then(|text| serde_json::from_slice(&text).ok()),
        }
    };
    ErrorText {
        code: spelled(status.code()).0,
        message: status.message(),
        details: details.details.into_iter().map(detail).collect(),
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Texts and numbers can always be written.
    serde_json::to_vec(value).unwrap_or_default()
}

fn end(status: &Status) -> Vec<u8> {
    json(&EndOfStream {
        error: (status.code() != Code::Ok).then(|| error(status)),
    })
}

/// What a stream of lines or envelopes ends with.
pub fn end_of_stream(status: &Status, form: ReplyForm) -> Bytes {
    if let ReplyForm::Enveloped(_) = form {
        return Bytes::from(last_envelope(&end(status)));
    }
    if status.code() == Code::Ok {
        return Bytes::new();
    }
    Bytes::from([end(status), b"\n".to_vec()].concat())
}

/// The answer to a call that failed before its first message.
pub fn response(status: &Status, form: ReplyForm) -> Response<ReplyBody> {
    let (_, http_status) = spelled(status.code());
    let content_type = form.content_type();
    match form {
        // A stream says in its last message how it ended, and its HTTP status is 200.
        ReplyForm::Enveloped(_) => {
            answer(StatusCode::OK, content_type, end_of_stream(status, form))
        }
        ReplyForm::Lines => answered(
            answer(http_status, content_type, end_of_stream(status, form)),
            status,
        ),
        ReplyForm::Whole(Codec::Json | Codec::Proto) => plain(http_status, status),
        ReplyForm::Web { .. } => {
            let mut response = answer(StatusCode::OK, content_type, Bytes::new());
            // A status that is no header cannot come from here.
            let _ = status.add_header(response.headers_mut());
            response
        }
    }
}

/// An error as one JSON object.
pub fn plain(code: StatusCode, status: &Status) -> Response<ReplyBody> {
    let text = Bytes::from([json(&error(status)), b"\n".to_vec()].concat());
    answered(answer(code, "application/json", text), status)
}

/// Adds when to try again, and what is missing from a call without a token.
fn answered(mut response: Response<ReplyBody>, status: &Status) -> Response<ReplyBody> {
    if status.code() == Code::Unauthenticated {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    let delay = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    if let Some(delay) = delay {
        let seconds = HeaderValue::from(delay.as_secs().max(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
