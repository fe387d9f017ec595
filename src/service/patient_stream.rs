//! A socket whose peer has to speak soon after it connects, and may not leave what is written to it lying for ever.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// The bytes that every HTTP/2 client begins with.
const PREFACE: usize = 24;

/// The socket.
pub struct PatientStream {
    stream: TcpStream,
    /// Bytes of the preface that are still to come, and how long they may take.
    unsaid: usize,
    handshake: Pin<Box<Sleep>>,
    spoken: Arc<AtomicBool>,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl PatientStream {
    /// Sets `spoken` when the preface is there, which it has to be within `handshake`; waits with a write for at most
    /// `stall`.
    pub fn new(
        stream: TcpStream,
        spoken: Arc<AtomicBool>,
        handshake: Duration,
        stall: Duration,
    ) -> Self {
        Self {
            stream,
            unsaid: PREFACE,
            handshake: Box::pin(sleep(handshake)),
            spoken,
            stall,
            stalled: None,
        }
    }

    /// Passes a write's outcome on, unless it has been waited for too long.
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
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.unsaid == 0 {
            return read;
        }
        let said = buffer.filled().len() - before;
        self.unsaid = self.unsaid.saturating_sub(said);
        if self.unsaid == 0 {
            self.spoken.store(true, Ordering::Relaxed);
        } else if read.is_pending() {
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
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
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
