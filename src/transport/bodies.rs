//! Bodies of requests and replies in transit: counted as memory while the server holds them, and abandoned when the
//! other side stops sending or reading.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use crate::host::caller::Caller;
use crate::host::limits::memory::{Account, Reservation};
use crate::status::{Reason, Refusal, malformed};
use crate::transport::peer::{Active, Peer, SLOWEST, Waiting, pace};

/// Replies are sent in pieces of this size, each of which has to be read in time.
const PIECE: usize = 64 << 10;

/// Limits on the arrival of a request.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Limit on the whole body, in bytes.
    pub most: usize,
    /// Whether the body counts as memory.
    pub is_counted: bool,
    /// The period over which at least [`SLOWEST`] bytes a second have to arrive; `None` for no limit.
    pub patience: Option<Duration>,
    /// The time limit for the whole body; `None` for no limit.
    pub whole: Option<Duration>,
    /// Whether trailers are left out: those of HTTP/1.1 have no meaning here and no danger.
    pub may_have_trailers: bool,
}

/// What is read of a request that was answered before it had arrived, in bytes, and for how long. A reset instead would
/// have curl lose the reply over HTTP/2, and would close a connection of HTTP/1.1.
const REST: usize = 64 << 10;
const REST_TIME: Duration = Duration::from_millis(250);

/// The body of a request. Dropped before its end, it is read a little further: see [`REST`].
pub struct RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    /// Taken when it has ended, or by the drop.
    inner: Option<B>,
    caller: Arc<Caller>,
    arrival: Arrival,
    /// Bytes so far, and since the clock was last set.
    arrived: usize,
    lately: usize,
    /// Set when the server first waits for the sender.
    clock: Option<Clock>,
}

struct Clock {
    pause: Pin<Box<Sleep>>,
    /// When the whole body has to be complete.
    end: Option<Instant>,
}

impl<B> RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    /// Counts `inner` in the memory of `caller`, and fails when it arrives too slowly.
    pub fn new(inner: B, caller: Arc<Caller>, arrival: Arrival) -> Self {
        Self {
            inner: Some(inner),
            caller,
            arrival,
            arrived: 0,
            lately: 0,
            clock: None,
        }
    }

    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(patience) = self.arrival.patience else {
            return Poll::Pending;
        };
        let whole = self.arrival.whole;
        let clock = self.clock.get_or_insert_with(|| Clock {
            pause: Box::pin(sleep(whole.map_or(patience, |whole| whole.min(patience)))),
            end: whole.and_then(|whole| Instant::now().checked_add(whole)),
        });
        ready!(clock.pause.as_mut().poll(context));
        let message = if clock.end.is_some_and(|end| end <= Instant::now()) {
            format!(
                "the request took longer than {} s to arrive (max_request_seconds): send it faster, or in parts",
                whole.unwrap_or_default().as_secs()
            )
        } else {
            format!(
                "the request stalled: {} bytes arrived in {} s (stall_seconds), allowed: at least {SLOWEST} bytes a \
                 second: send it again, faster",
                self.lately,
                patience.as_secs()
            )
        };
        Poll::Ready(Refusal::new(Reason::Deadline, message).status())
    }

    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        self.arrived = self.arrived.saturating_add(bytes);
        if self.arrived > self.arrival.most {
            // tonic's own wording for a message whose header states such a length; `explain` rewrites both alike.
            let most = self.arrival.most;
            return Err(Status::out_of_range(format!("more than {most} bytes came")));
        }
        if self.arrival.is_counted {
            self.caller.hold(bytes)?;
        }
        let (Some(clock), Some(patience)) = (&mut self.clock, self.arrival.patience) else {
            return Ok(());
        };
        self.lately = self.lately.saturating_add(bytes);
        if self.lately >= pace(patience) {
            self.lately = 0;
            let next = Instant::now() + patience;
            let next = clock.end.map_or(next, |end| end.min(next));
            clock.pause.as_mut().reset(next);
        }
        Ok(())
    }
}

impl<B> Drop for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) else {
            return;
        };
        // Without a runtime there is no peer either.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let mut left = REST;
            let rest = async {
                while let Some(Ok(frame)) =
                    poll_fn(|context| Pin::new(&mut inner).poll_frame(context)).await
                {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    left = match left.checked_sub(length) {
                        Some(left) => left,
                        None => break,
                    };
                }
            };
            // What has not arrived by then is not waited for.
            let _ = tokio::time::timeout(REST_TIME, rest).await;
        });
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) else {
            return this
                .poll_pause(context)
                .map(|status| Some(Err(status.into())));
        };
        let checked = match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => this.take(data.len()),
                None if this.arrival.may_have_trailers => {
                    this.inner = None;
                    return Poll::Ready(None);
                }
                // A gRPC request has no trailers. HTTP/2 forbids pseudo-headers in them, which cannot be seen here, so
                // all trailers are refused.
                None => Err(malformed("over HTTP/2, a request ends without trailers")),
            },
            Some(Err(_)) | None => {
                this.inner = None;
                Ok(())
            }
        };
        Poll::Ready(match checked {
            Ok(()) => frame.map(|frame| frame.map_err(Into::into)),
            Err(status) => Some(Err(status.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = SizeHint::with_exact(0);
        self.inner.as_ref().map_or(none, HttpBody::size_hint)
    }
}

/// How a reply is counted and watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Every piece is counted and has to be read in time.
    Watched,
    /// The reader may pause for as long as it likes. The memory it can hold up was reserved when the call began.
    Patient,
}

/// The body of a reply.
#[derive(Default)]
pub struct ReplyBody(Option<Reply>);

struct Reply {
    inner: Body,
    memory: ReplyMemory,
    peer: Option<Arc<Peer>>,
    delivery: Delivery,
    /// Taken from `inner` but not sent yet, with its memory.
    rest: Bytes,
    held: Option<Arc<Reservation>>,
    /// Keeps the connection busy until the reply is sent.
    _active: Option<Active>,
}

/// The source of a reply's memory.
pub enum ReplyMemory {
    /// All of it was reserved before the call was answered, so no piece can be refused.
    Counted(Arc<Reservation>),
    /// Each part is reserved as it is encoded; the first takes over the memory held already.
    InParts(Reservation, Arc<Account>),
}

impl ReplyMemory {
    /// The reservation for a part of `bytes`.
    fn for_part(&mut self, bytes: usize) -> Result<PieceMemory, Status> {
        let mut held = match self {
            Self::Counted(held) => return Ok(PieceMemory::Part(Arc::clone(held))),
            Self::InParts(held, _) if held.is_counted() => std::mem::take(held),
            Self::InParts(_, account) => account.nothing(),
        };
        held.grow_to(bytes)?;
        Ok(PieceMemory::Whole(held))
    }
}

/// A piece of a reply. It stays counted while HTTP/2 waits for window to send it.
pub struct Piece {
    bytes: Bytes,
    waiting: Option<Waiting>,
    _held: PieceMemory,
}

/// A piece's share of the memory of its reply.
enum PieceMemory {
    /// The piece holds all of it.
    Whole(Reservation),
    /// The reply is one allocation, which its last piece frees.
    Part(Arc<Reservation>),
}

impl ReplyBody {
    /// Counts `inner` in `memory` and watches that `peer` reads it.
    pub fn new(
        inner: Body,
        memory: ReplyMemory,
        peer: Option<Arc<Peer>>,
        active: Option<Active>,
        delivery: Delivery,
    ) -> Self {
        Self(Some(Reply {
            inner,
            memory,
            peer,
            delivery,
            rest: Bytes::new(),
            held: None,
            _active: active,
        }))
    }

    /// How it is delivered; an empty one like most replies.
    pub fn delivery(&self) -> Delivery {
        let reply = self.0.as_ref();
        reply.map_or(Delivery::Watched, |reply| reply.delivery)
    }
}

impl Piece {
    fn new(bytes: Bytes, held: PieceMemory, peer: Option<&Arc<Peer>>) -> Self {
        Self {
            bytes,
            waiting: peer.map(|peer| Waiting::new(Arc::clone(peer))),
            _held: held,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(waiting) = &mut self.waiting {
            waiting.progress(count);
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        // Without a copy.
        let bytes = self.bytes.split_to(count);
        if let Some(waiting) = &mut self.waiting {
            waiting.progress(count);
        }
        bytes
    }
}

impl Reply {
    /// The next part of the reply, or the first piece of a long part.
    fn piece_of(&mut self, data: Bytes) -> Result<Piece, Status> {
        if self.delivery == Delivery::Patient {
            return Ok(Piece::new(
                data,
                PieceMemory::Whole(Reservation::default()),
                None,
            ));
        }
        let held = match self.memory.for_part(data.len())? {
            held if data.len() <= PIECE => return Ok(Piece::new(data, held, self.peer.as_ref())),
            PieceMemory::Whole(held) => Arc::new(held),
            PieceMemory::Part(held) => held,
        };
        self.rest = data;
        self.held = Some(held);
        Ok(self.next_piece())
    }

    fn next_piece(&mut self) -> Piece {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE));
        let held = if self.rest.is_empty() {
            self.held.take()
        } else {
            self.held.clone()
        };
        let held = held.map_or(
            PieceMemory::Whole(Reservation::default()),
            PieceMemory::Part,
        );
        Piece::new(bytes, held, self.peer.as_ref())
    }
}

impl HttpBody for ReplyBody {
    type Data = Piece;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Status>>> {
        let Some(reply) = &mut self.0 else {
            return Poll::Ready(None);
        };
        if !reply.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(reply.next_piece()))));
        }
        let frame = match ready!(Pin::new(&mut reply.inner).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => match reply.piece_of(data) {
                Ok(piece) => Frame::data(piece),
                Err(status) => {
                    // The headers are already sent: the status ends the reply in its trailers.
                    self.0 = None;
                    let mut trailers = HeaderMap::new();
                    status.add_header(&mut trailers)?;
                    Frame::trailers(trailers)
                }
            },
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => Frame::trailers(trailers),
                Err(_) => return Poll::Ready(None),
            },
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|reply| reply.rest.is_empty() && reply.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            // Exact only while nothing is held back here; hyper asks before the first frame.
            Some(reply) if reply.rest.is_empty() => reply.inner.size_hint(),
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}
