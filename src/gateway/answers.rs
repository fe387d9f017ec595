//! Envelopes, and answers that come from the gateway itself.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;

use crate::host::limits::memory::Reservation;
use crate::transport::bodies::{Delivery, ReplyBody, ReplyMemory};

/// The header of a gRPC message, and of an envelope: one byte for flags, four for the length.
pub const PREFIX: usize = 5;

/// The flag of the last envelope of a stream.
const END_OF_STREAM: u8 = 2;

/// A message after a header with these flags.
pub fn enveloped(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut envelope = Vec::with_capacity(PREFIX + message.len());
    envelope.push(flags);
    envelope.extend_from_slice(&length.to_be_bytes());
    envelope.extend_from_slice(message);
    envelope
}

/// The envelope that ends a stream.
pub fn last_envelope(message: &[u8]) -> Vec<u8> {
    enveloped(END_OF_STREAM, message)
}

/// The answer of the gateway itself.
pub fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let memory = ReplyMemory::Counted(Arc::new(Reservation::default()));
    let body = ReplyBody::new(
        Body::new(Full::new(body)),
        memory,
        None,
        None,
        Delivery::Watched,
    );
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
