//! A socket that makes its peer speak HTTP soon after connecting, fails a write that makes no progress, and lets other
//! connections run between reads. The first bytes tell HTTP/2 from HTTP/1.1; small frames of HTTP/2 are read at a
//! limited rate.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::transport::frame_pace::{ACK, FramePace, HEAD, SETTINGS};
use crate::transport::peer::Peer;
use crate::transport::tls::Wire;

/// The preface that every HTTP/2 client starts with, and the header of its first frame after it.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const OPENING: usize = PREFACE.len() + HEAD;

/// Position of the first frame's type and flags. It has to be SETTINGS without ACK (RFC 9113, 3.4), but h2 accepts any
/// frame.
const TYPE: usize = PREFACE.len() + 3;
const FLAGS: usize = PREFACE.len() + 4;

/// GOAWAY with the highest stream id and ENHANCE_YOUR_CALM (RFC 9113, 6.8 and 7).
const CALM_DOWN: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb,
];

/// Bytes of HTTP/1.1 that are read before other connections run. A request of a few dozen bytes, or a chunk of one byte,
/// costs about a microsecond.
const TURN_BYTES: usize = 16 << 10;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// So many bytes of the preface, or of the preface and the header of the first frame.
    Http2(usize),
    /// Something else than the preface; the first request completes the opening.
    Http1,
}

/// The socket.
pub struct PatientStream {
    stream: Wire,
    peer: Arc<Peer>,
    opening: Opening,
    /// The time limit for the opening.
    handshake: Pin<Box<Sleep>>,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    pace: FramePace,
    /// Bytes of HTTP/1.1 since other connections last ran.
    turn: usize,
    /// Set while the peer sends frames too fast: reading pauses until then.
    paused: Option<Pin<Box<Sleep>>>,
}

impl PatientStream {
    /// The peer has to complete its opening by `handshake`, which marks it as having spoken. A write waits at most
    /// `stall`.
    pub fn new(stream: Wire, peer: &Arc<Peer>, handshake: Instant, stall: Duration) -> Self {
        Self {
            stream,
            peer: Arc::clone(peer),
            opening: Opening::Http2(0),
            handshake: Box::pin(sleep_until(handshake)),
            stall,
            stalled: None,
            pace: FramePace::new(PREFACE.len()),
            turn: 0,
            paused: None,
        }
    }

    /// Whether the opening is complete: the preface and SETTINGS, or a request of HTTP/1.1 that reached its service.
    fn has_opened(&self) -> bool {
        match self.opening {
            Opening::Http2(said) => said == OPENING,
            Opening::Http1 => self.peer.has_spoken(),
        }
    }

    /// Counts bytes that were read.
    fn note_received(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Opening::Http2(said) = self.opening
            && said < OPENING
        {
            self.opening = self.check_opening(said, bytes)?;
        }
        match self.opening {
            Opening::Http2(_) => self.pace.received(bytes),
            Opening::Http1 => self.turn = self.turn.saturating_add(bytes.len()),
        }
        Ok(())
    }

    /// Checks the next bytes of the opening, of which `said` were received before.
    fn check_opening(&self, said: usize, bytes: &[u8]) -> io::Result<Opening> {
        let rest = PREFACE.get(said..).unwrap_or_default();
        if rest
            .iter()
            .zip(bytes)
            .any(|(preface, byte)| preface != byte)
        {
            return Ok(Opening::Http1);
        }
        let at = |place: usize| {
            let index = place.checked_sub(said)?;
            bytes.get(index).copied()
        };
        let is_other = at(TYPE).is_some_and(|kind| kind != SETTINGS)
            || at(FLAGS).is_some_and(|flags| flags & ACK != 0);
        if is_other {
            let what = "the first frame of a connection is not SETTINGS";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let said = said.saturating_add(bytes.len()).min(OPENING);
        if said == OPENING {
            self.peer.spoken.store(true, Ordering::Relaxed);
        }
        Ok(Opening::Http2(said))
    }

    fn note_sent(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.pace.sent(*bytes);
        }
    }

    /// Ready when the next bytes may be read.
    fn poll_pace(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_turn_over = match self.opening {
            Opening::Http2(_) => {
                ready!(self.poll_frame_pace(context))?;
                self.pace.is_turn_over()
            }
            Opening::Http1 => {
                let is_over = self.turn >= TURN_BYTES;
                if is_over {
                    self.turn = 0;
                }
                is_over
            }
        };
        if is_turn_over {
            // Let other connections run first, then read the rest.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_frame_pace(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pace.is_flood() {
            // h2 has no way to send this. If the socket has no room for it, the connection ends without it.
            let _ = Pin::new(&mut self.stream).poll_write(context, &CALM_DOWN);
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        loop {
            if let Some(paused) = &mut self.paused {
                ready!(paused.as_mut().poll(context));
            }
            match self.pace.pause() {
                Some(end) => self.pause_until(end),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    fn pause_until(&mut self, end: Instant) {
        match &mut self.paused {
            Some(paused) => paused.as_mut().reset(end),
            None => {
                tracing::debug!(peer = %self.peer.source, "slowed down a connection that sends too many small frames");
                self.paused = Some(Box::pin(sleep_until(end)));
            }
        }
    }

    /// Reads roughly the amount of bytes that other connections can wait for.
    fn read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = match self.opening {
            Opening::Http2(_) => self.pace.most_to_read(),
            Opening::Http1 => TURN_BYTES,
        };
        if buffer.remaining() <= most {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let read = Pin::new(&mut self.stream).poll_read(context, &mut part);
        let count = part.filled().len();
        buffer.advance(count);
        read
    }

    /// Passes a write's result on, or an error if it has been pending too long.
    fn watch<V>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<V>>,
    ) -> Poll<io::Result<V>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_pace(context))?;
        let before = buffer.filled().len();
        let read = self.read(context, buffer);
        self.note_received(&buffer.filled()[before..])?;
        if read.is_pending() && !self.has_opened() {
            ready!(self.handshake.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_sent(&written);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_sent(&written);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
