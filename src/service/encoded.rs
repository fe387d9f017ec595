//! Replies that are bytes already when the call is answered. Tonic copies a message into a buffer when HTTP/2 asks for it,
//! on a thread that answers calls: a megabyte takes it half a millisecond, and a thousand such replies a second in which
//! no health check is answered. A large reply is written by the compute thread that made it, and its bytes go out from
//! there.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::{Response, Status};

use super::memory::Reservation;
use super::places::Place;

/// The bytes before a message (gRPC over HTTP/2): whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// The most bytes of a key and a length.
const KEY_AND_LENGTH: usize = 15;

/// A reply whose messages are written, with all that it holds.
pub struct Encoded {
    parts: VecDeque<Bytes>,
    memory: Arc<Reservation>,
    _place: Option<Place>,
}

/// An [`Encoded`] in a response's extensions, which want to be cloned. It is taken out once.
#[derive(Clone)]
struct Carried(Arc<Mutex<Option<Encoded>>>);

impl Encoded {
    /// A file in messages of a single field of bytes, number 1, which holds up to `piece` of them. The memory of the
    /// file is held until the last piece has gone.
    pub fn of_file(file: Bytes, piece: usize, memory: Reservation, place: Place) -> Self {
        let mut file = file;
        let mut parts = VecDeque::with_capacity(2 * file.len().div_ceil(piece));
        while !file.is_empty() {
            let data = file.split_to(file.len().min(piece));
            let mut field = BytesMut::with_capacity(KEY_AND_LENGTH);
            encode_key(1, WireType::LengthDelimited, &mut field);
            encode_varint(data.len() as u64, &mut field);
            parts.push_back(head(&field, field.len() + data.len()));
            parts.push_back(data);
        }
        Self {
            parts,
            memory: Arc::new(memory),
            _place: Some(place),
        }
    }

    /// A response whose body these bytes are; `blank` stands where tonic wants a message.
    pub fn answer<V>(self, blank: V) -> Response<V> {
        let mut response = Response::new(blank);
        let carried = Carried(Arc::new(Mutex::new(Some(self))));
        response.extensions_mut().insert(carried);
        response
    }

    /// The reply that a response carries, if it carries one.
    pub fn taken_from<B>(response: &mut http::Response<B>) -> Option<Self> {
        let carried = response.extensions_mut().remove::<Carried>()?;
        let mut carried = carried.0.lock().unwrap_or_else(PoisonError::into_inner);
        carried.take()
    }

    /// The memory that it holds.
    pub fn memory(&self) -> Arc<Reservation> {
        Arc::clone(&self.memory)
    }

    /// Its bytes, and the status OK behind them.
    pub fn into_body(self) -> EncodedBody {
        EncodedBody(Some(self))
    }
}

/// A message's prefix, and the first of its `length` bytes.
fn head(start: &[u8], length: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(PREFIX + start.len());
    head.put_u8(0);
    head.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    head.put_slice(start);
    head.freeze()
}

/// The body of an [`Encoded`] reply.
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
                // The stream's place is free again before the other side hears that the stream has ended.
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
