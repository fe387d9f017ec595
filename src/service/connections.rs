//! Connections: accepted up to a number, cut off when they say or take nothing, drained within a time. HTTP/2 is served
//! by hyper itself rather than by tonic's server, whose timeouts answer CANCELLED, whose limits are per connection and
//! whose shutdown waits for silent peers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::bodies::Peer;
use super::caller::Source;
use super::patient_stream::PatientStream;
use super::status::queue_full;
use crate::config::Config;

/// Upload windows, so that a batch of some megabytes travels without waiting for permission: at the protocol's 64 KiB, calls
/// of 0.2 to 6 MB take 1.7 to 2.5 times as long; at four times these sizes they take no less.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest frame of an upload: at the protocol's 16 KiB, a batch of 200 KB is read in a dozen pieces, which takes a
/// tenth of the time of training on it. A frame is seen when it is whole: one that a slow line takes long for would pass
/// for silence.
const FRAME: u32 = 128 << 10;

/// What a stream holds of a reply besides what its reader has room for.
const SEND_BUFFER: usize = 128 << 10;

/// Streams that a peer may have reset before it is cut off.
const MAX_RESET_STREAMS: usize = 1024;

/// A peer that answers no ping for this long is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait when the system has no file descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections beyond the limit that are told so at once; further ones are closed without a word.
const MAX_REFUSED: usize = 64;

/// Files that the server opens besides its connections: snapshots, folders, the runtime's own.
const OTHER_FILES: u64 = 64;

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Serves connections, each by a service of its own, until `shutdown`, then drains them, and returns at the latest `drain_seconds` later.
pub async fn serve<S>(
    listener: TcpListener,
    service: impl Fn(Arc<Peer>) -> S,
    config: &Config,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let limit = connection_limit(config.max_connections);
    let places = Arc::new(Semaphore::new(limit));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSED));
    let mut newcomers = Newcomers::default();
    let builder = builder(config);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
            // Collects those that have ended, so that the set does not grow.
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                newcomers.drop_oldest();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection {
            builder: builder.clone(),
            shutdown: shutdown.clone(),
            handshake: Duration::from_secs(config.handshake_seconds),
            stall: Duration::from_secs(config.stall_seconds),
            peer: Arc::new(Peer {
                source: Source::new(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed), address),
                cut: CancellationToken::new(),
            }),
            spoken: Arc::default(),
        };
        let peer = Arc::clone(&connection.peer);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            newcomers.push(&connection);
            connections.spawn(connection.serve(stream, service(peer), place));
        } else if newcomers.drop_oldest() {
            // Whoever says nothing gives way to whoever comes; the place is free in a moment.
            newcomers.push(&connection);
            let (places, service) = (Arc::clone(&places), service(peer));
            connections.spawn(async move {
                if let Ok(place) = places.acquire_owned().await {
                    connection.serve(stream, service, place).await;
                }
            });
        } else if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
            let refuse = tower::service_fn(move |_| async move {
                let status = queue_full("max_connections", limit, "too many connections are open");
                Ok(status.into_http())
            });
            connections.spawn(connection.serve(stream, refuse, place));
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // The last commits belong to the shutdown, too.
    let limit = Duration::from_secs(config.drain_seconds).mul_f64(0.95);
    if tokio::time::timeout(limit, drained).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut off what did not end in time"
        );
        connections.shutdown().await;
    }
}

/// As many connections as are asked for, or as this process may open files for.
fn connection_limit(asked: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = asked as u64 + OTHER_FILES;
    let mut files = current.unwrap_or(u64::MAX);
    if files < wanted {
        // A process may raise its own limit up to the hard one.
        let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let raise = Rlimit {
            current: Some(raised),
            maximum,
        };
        if setrlimit(Resource::Nofile, raise).is_ok() {
            files = raised;
        }
    }
    let possible = files.saturating_sub(OTHER_FILES).max(1);
    if possible < asked as u64 {
        tracing::warn!(
            files,
            connections = possible,
            "max_connections = {asked} does not fit the limit on open files: raise `ulimit -n`"
        );
    }
    asked.min(usize::try_from(possible).unwrap_or(usize::MAX))
}

/// Connections that may not have said anything yet, the oldest first.
#[derive(Default)]
struct Newcomers(VecDeque<(Arc<AtomicBool>, CancellationToken)>);

impl Newcomers {
    fn push(&mut self, connection: &Connection) {
        // Those that have spoken need no watching.
        while let Some((spoken, _)) = self.0.front()
            && spoken.load(Ordering::Relaxed)
        {
            self.0.pop_front();
        }
        let spoken = Arc::clone(&connection.spoken);
        self.0.push_back((spoken, connection.peer.cut.clone()));
    }

    /// Cuts off the oldest that is silent; `false` where none is.
    fn drop_oldest(&mut self) -> bool {
        while let Some((spoken, cut)) = self.0.pop_front() {
            // Set by the connection's own end, too.
            if !spoken.load(Ordering::Relaxed) {
                cut.cancel();
                return true;
            }
        }
        false
    }
}

fn builder(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(config.max_streams_per_connection)
        .max_header_list_size(config.max_header_bytes)
        .max_local_error_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

struct Connection {
    builder: http2::Builder<TokioExecutor>,
    shutdown: CancellationToken,
    handshake: Duration,
    stall: Duration,
    peer: Arc<Peer>,
    /// Whether it has said a whole preface, or has ended.
    spoken: Arc<AtomicBool>,
}

impl Connection {
    async fn serve<S>(self, stream: TcpStream, service: S, _place: OwnedSemaphorePermit)
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let spoken = Arc::clone(&self.spoken);
        let _ended = Ended(Arc::clone(&spoken));
        // Small messages are to leave at once; a peer that is gone already is noticed below.
        let _ = stream.set_nodelay(true);
        let stream = PatientStream::new(stream, spoken, self.handshake, self.stall);
        let service = TowerToHyperService::new(service);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            biased;
            () = self.peer.cut.cancelled() => return,
            ended = &mut connection => ended,
            () = self.shutdown.cancelled() => {
                if !self.spoken.load(Ordering::Relaxed) {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    () = self.peer.cut.cancelled() => return,
                    ended = connection => ended,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// Tells on its end that a connection is silent no more.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
