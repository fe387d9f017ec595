//! A socket that makes its peer speak HTTP/2 soon after connecting, fails a write that makes no progress, and limits
//! how fast small frames are read.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::transport::frame_pace::{ACK, FramePace, HEAD, SETTINGS};
use crate::transport::peer::Peer;

/// The preface that every HTTP/2 client starts with, and the header of its first frame after it.
const PREFACE: usize = 24;
const OPENING: usize = PREFACE + HEAD;

/// Position of the first frame's type and flags. It has to be SETTINGS without ACK (RFC 9113, 3.4), but h2 accepts any
/// frame.
const TYPE: usize = PREFACE + 3;
const FLAGS: usize = PREFACE + 4;

/// GOAWAY with the highest stream id and ENHANCE_YOUR_CALM (RFC 9113, 6.8 and 7).
const CALM_DOWN: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb,
];

/// The socket.
pub struct PatientStream {
    stream: TcpStream,
    peer: Arc<Peer>,
    /// Bytes of the opening received so far, and the time limit for all of them.
    said: usize,
    handshake: Pin<Box<Sleep>>,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    pace: FramePace,
    /// Set while the peer sends frames too fast: reading pauses until then.
    paused: Option<Pin<Box<Sleep>>>,
}

impl PatientStream {
    /// Marks `peer` as having spoken, which it has to do within `handshake`. A write waits at most `stall`.
    pub fn new(stream: TcpStream, peer: &Arc<Peer>, handshake: Duration, stall: Duration) -> Self {
        Self {
            stream,
            peer: Arc::clone(peer),
            said: 0,
            handshake: Box::pin(sleep(handshake)),
            stall,
            stalled: None,
            pace: FramePace::new(PREFACE),
            paused: None,
        }
    }

    /// Checks the next bytes of the opening.
    fn check_opening(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = |place: usize| {
            let index = place.checked_sub(self.said)?;
            bytes.get(index).copied()
        };
        let is_other = at(TYPE).is_some_and(|kind| kind != SETTINGS)
            || at(FLAGS).is_some_and(|flags| flags & ACK != 0);
        if is_other {
            let what = "the first frame of a connection is not SETTINGS";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.said = self.said.saturating_add(bytes.len()).min(OPENING);
        if self.said == OPENING {
            self.peer.spoken.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn note_sent(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.pace.sent(*bytes);
        }
    }

    /// Ready when the next bytes may be read.
    fn poll_pace(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pace.is_flood() {
            // h2 has no way to send this. If the socket has no room for it, the connection ends without it.
            let _ = self.stream.try_write(&CALM_DOWN);
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        loop {
            if let Some(paused) = &mut self.paused {
                ready!(paused.as_mut().poll(context));
            }
            match self.pace.pause() {
                Some(end) => self.pause_until(end),
                None => break,
            }
        }
        if self.pace.is_turn_over() {
            // Let other connections run first, then read the rest.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
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
        let most = self.pace.most_to_read();
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
        self.pace.received(&buffer.filled()[before..]);
        if self.said == OPENING {
            return read;
        }
        if read.is_pending() {
            ready!(self.handshake.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.check_opening(&buffer.filled()[before..])?;
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
