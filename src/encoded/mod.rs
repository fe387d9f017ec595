//! Large replies that are encoded before the call is answered. tonic encodes a message when HTTP/2 asks for it, on a
//! thread that answers calls: a megabyte takes half a millisecond, and a thousand such replies a second would block
//! every health check. So the compute thread that produces a large reply also encodes it, and its bytes are sent
//! without a copy.

mod rope;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use tonic::{Response, Status};

pub use self::rope::Rope;
#[cfg(test)]
pub use self::rope::SMALL_PART;
use crate::host::limits::memory::Reservation;
use crate::host::limits::stream_slots::StreamSlot;

/// The header of a gRPC message: one byte for compression, four for the length.
const PREFIX: usize = 5;

/// An encoded reply, with the memory and the stream slot that it holds.
pub struct Encoded {
    parts: VecDeque<Bytes>,
    memory: Arc<Reservation>,
    _slot: Option<StreamSlot>,
}

/// Carries an [`Encoded`] in a response's extensions, which have to be `Clone`. It can be taken out once.
#[derive(Clone)]
struct ReplySlot(Arc<Mutex<Option<Encoded>>>);

impl Encoded {
    /// A file as a stream of messages with a single bytes field, number 1, of up to `piece` bytes each. The memory of
    /// the file stays reserved until the last piece is sent.
    pub fn of_file(file: Bytes, piece: usize, memory: Reservation, slot: StreamSlot) -> Self {
        let mut file = file;
        let mut parts = VecDeque::with_capacity(2 * file.len().div_ceil(piece));
        while !file.is_empty() {
            let data = file.split_to(file.len().min(piece));
            let mut message = Rope::default();
            message.put(1, Rope::of_bytes(data));
            parts.append(&mut with_prefix(message));
        }
        Self {
            parts,
            memory: Arc::new(memory),
            _slot: Some(slot),
        }
    }

    /// A single message, whose memory stays reserved until all of it is sent.
    pub fn of_message(message: Rope, memory: Reservation) -> Self {
        Self {
            parts: with_prefix(message),
            memory: Arc::new(memory),
            _slot: None,
        }
    }

    /// A response with these bytes as its body; tonic gets `blank` in place of a message.
    pub fn answer<V>(self, blank: V) -> Response<V> {
        let mut response = Response::new(blank);
        let carried = ReplySlot(Arc::new(Mutex::new(Some(self))));
        response.extensions_mut().insert(carried);
        response
    }

    /// Takes the encoded reply out of a response, if it carries one.
    pub fn taken_from<B>(response: &mut http::Response<B>) -> Option<Self> {
        let carried = response.extensions_mut().remove::<ReplySlot>()?;
        let mut carried = carried.0.lock().unwrap_or_else(PoisonError::into_inner);
        carried.take()
    }

    /// The memory reserved for the reply.
    pub fn memory(&self) -> Arc<Reservation> {
        Arc::clone(&self.memory)
    }

    /// The body of the reply, which ends with the status OK.
    pub fn into_body(self) -> EncodedBody {
        EncodedBody(Some(self))
    }
}

/// A message after its header.
fn with_prefix(message: Rope) -> VecDeque<Bytes> {
    // `check_reply` keeps a message far below 4 GiB.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut prefix = [0; PREFIX];
    prefix[1..].copy_from_slice(&length.to_be_bytes());
    message.into_parts(&prefix)
}

/// The body of an [`Encoded`] reply, which ends with the status OK.
pub struct EncodedBody(Option<Encoded>);

impl HttpBody for EncodedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(encoded) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = match encoded.parts.pop_front() {
            Some(part) => Frame::data(part),
            None => {
                // Free the stream's slot before the client learns that the stream has ended.
                self.0 = None;
                let mut trailers = HeaderMap::new();
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                Frame::trailers(trailers)
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
