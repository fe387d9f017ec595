//! The bytes of requests and replies on their way: counted as memory for as long as they are here, and given up where
//! the other side neither sends nor takes any more.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};

use super::caller::Source;
use super::memory::{Memory, Reservation};
use super::status::Refusal;

/// A reply is handed on in pieces of this size, so that what waits for a slow reader waits here, where it is counted.
const PIECE: usize = 64 << 10;

/// Replies below this are not watched: they fit the window that every client begins with, or nearly so.
const WATCHED: usize = 256 << 10;

/// What is known of a call's connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it comes from.
    pub source: Source,
    /// Cuts it off.
    pub cut: CancellationToken,
}

/// The bytes of a request.
pub struct RequestBody<B> {
    inner: B,
    memory: Memory,
    reservation: Arc<Mutex<Reservation>>,
    /// How long the sender may pause; `None` where it may for ever.
    patience: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> RequestBody<B> {
    /// Counts `inner` in `reservation`, and gives up when it pauses for longer than `patience`.
    pub fn new(
        inner: B,
        memory: Memory,
        reservation: Arc<Mutex<Reservation>>,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            inner,
            memory,
            reservation,
            patience,
            pause: None,
        }
    }

    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(patience) = self.patience else {
            return Poll::Pending;
        };
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(pause.as_mut().poll(context));
        let message = format!(
            "no byte of the request came for {} s (stall_seconds): send it again, faster",
            patience.as_secs()
        );
        Poll::Ready(Refusal::new(Code::DeadlineExceeded, "DEADLINE", message).status())
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            return this
                .poll_pause(context)
                .map(|status| Some(Err(status.into())));
        };
        this.pause = None;
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let mut reservation = this
                .reservation
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Err(status) = this.memory.extend(&mut reservation, data.len()) {
                return Poll::Ready(Some(Err(status.into())));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The bytes of a reply.
pub struct ReplyBody {
    inner: Body,
    memory: Memory,
    /// Taken from `inner`, and not handed on yet.
    rest: Bytes,
    reservation: Reservation,
    /// Where it is watched: how often the connection has asked for more, and who watches.
    watch: Option<(Arc<AtomicU64>, tokio::task::AbortHandle)>,
    peer: Option<Arc<Peer>>,
    patience: Duration,
}

impl ReplyBody {
    /// Counts `inner`. A `peer` that takes nothing of a large reply for as long as `patience` is cut off.
    pub fn new(inner: Body, memory: Memory, peer: Option<Arc<Peer>>, patience: Duration) -> Self {
        Self {
            inner,
            memory,
            rest: Bytes::new(),
            reservation: Reservation::default(),
            watch: None,
            peer,
            patience,
        }
    }

    /// Takes a new piece of `inner` in.
    fn take(&mut self, data: Bytes) -> Result<(), Status> {
        self.memory.extend(&mut self.reservation, data.len())?;
        if data.len() >= WATCHED
            && self.watch.is_none()
            && let Some(peer) = &self.peer
        {
            let progress = Arc::new(AtomicU64::new(0));
            let seen = Arc::clone(&progress);
            let watch = tokio::spawn(cut_off_when_stalled(peer.cut.clone(), seen, self.patience));
            self.watch = Some((progress, watch.abort_handle()));
        }
        self.rest = data;
        Ok(())
    }
}

/// HTTP/2 has no other way: a stream without a window is not even asked whether it wants to end.
async fn cut_off_when_stalled(
    cut: CancellationToken,
    progress: Arc<AtomicU64>,
    patience: Duration,
) {
    let mut seen = progress.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep_until(Instant::now() + patience).await;
        let now = progress.load(Ordering::Relaxed);
        if now == seen {
            tracing::info!("a connection was cut off that took nothing of its reply");
            cut.cancel();
            return;
        }
        seen = now;
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some((progress, _)) = &this.watch {
            progress.fetch_add(1, Ordering::Relaxed);
        }
        if this.rest.is_empty() {
            // What was handed on belongs to the connection, which buffers a bounded part of it.
            this.reservation = Reservation::default();
            let frame = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if data.len() > PIECE => {
                    if let Err(status) = this.take(data) {
                        return Poll::Ready(Some(Err(status)));
                    }
                }
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Exact only where nothing is held back here; hyper asks before the first frame.
        if self.rest.is_empty() {
            self.inner.size_hint()
        } else {
            SizeHint::default()
        }
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        if let Some((_, watch)) = &self.watch {
            watch.abort();
        }
    }
}
