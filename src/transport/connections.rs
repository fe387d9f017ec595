//! Accepts connections up to a limit, cuts off silent and stalled ones, and drains them on shutdown within a time
//! limit.
//!
//! hyper serves HTTP/2 and HTTP/1.1 here rather than tonic's server, whose timeouts answer CANCELLED, whose limits apply per
//! connection and whose shutdown waits for silent peers.

mod porch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::porch::{MOST_STANDING, Porch};
use crate::config::Config;
use crate::host::limits::memory::Account;
use crate::transport::first_bytes::PatientStream;
use crate::transport::methods::STREAM_WINDOW;
use crate::transport::peer::Peer;
use crate::transport::seats::{Full, Seat, Seats};
use crate::transport::serves::Serves;
use crate::transport::source::Source;
use crate::transport::tls::{Tls, Wire};

/// The upload window of a connection; see [`STREAM_WINDOW`].
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest frame of an upload. At the protocol's 16 KiB, a batch of 200 KB arrives in a dozen pieces, and reading
/// them takes a tenth of the time of training on it. The server sees a frame only once it is complete, so a larger
/// frame on a slow line would look like silence.
const FRAME: u32 = 128 << 10;

/// Send buffer of a stream, beyond the flow-control window of the client.
const SEND_BUFFER: usize = 128 << 10;

/// Streams that a peer may reset before the connection is cut off.
const MAX_RESET_STREAMS: usize = 1024;

/// A peer that answers no ping for this long is considered gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest time between two requests of HTTP/1.1, and for the headers of a request after the first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Header lines of an HTTP/1.1 request.
const MAX_HEADERS: usize = 100;

/// The smallest buffer that hyper accepts for HTTP/1.1.
const LEAST_BUFFER: usize = 8 << 10;

/// A socket whose peer has been silent for this long is asked whether it still exists; HTTP/1.1 has no pings.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// Pause before the next accept when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection that was asked to leave may take to close.
const LEAVING: Duration = Duration::from_secs(1);

/// Files that the server opens besides its connections: snapshots, folders, and those of the runtime.
const OTHER_FILES: u64 = 64;

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Serves each connection with its own instance of the service until `shutdown`, then drains them and returns at most
/// `drain_seconds` later. The service of a connection beyond the limit is told so, and refuses its calls. Calls reserve
/// their memory from `account`. With `tls`, connections without TLS are refused.
pub async fn serve<S: Serves>(
    listener: TcpListener,
    service: impl Fn(Arc<Peer>, Option<Full>) -> S,
    account: Arc<Account>,
    (config, tls): (&Config, Option<Arc<Tls>>),
    shutdown: CancellationToken,
) {
    let limit = connection_limit(config.max_connections);
    let mut door = Door {
        seats: Seats::new(
            limit,
            config.max_connections_per_address,
            account,
            Duration::from_secs(config.stall_seconds),
        ),
        porch: Porch::default(),
        terms: Terms::new(config, tls),
        shutdown,
        connections: JoinSet::new(),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = door.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
            // Collect the connections that have ended, so that the set does not grow.
            Some(_) = door.connections.join_next(), if !door.connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, address)) => door.let_in(stream, address, &service),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                if let Some(idle) = door.seats.free_one() {
                    idle.cut.cancel();
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let mut connections = door.connections;
    let drained = async { while connections.join_next().await.is_some() {} };
    // Leave part of `drain_seconds` for the last commits.
    let limit = Duration::from_secs(config.drain_seconds).mul_f64(0.95);
    if tokio::time::timeout(limit, drained).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut off connections that did not drain in time"
        );
        connections.shutdown().await;
    }
}

/// The requested number of connections, or fewer if the process may not open that many files.
fn connection_limit(asked: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let others = OTHER_FILES + MOST_STANDING as u64;
    let wanted = asked as u64 + others;
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
    let possible = files.saturating_sub(others).max(1);
    if possible < asked as u64 {
        tracing::warn!(
            files,
            connections = possible,
            "max_connections = {asked} does not fit the limit on open files: raise `ulimit -n`"
        );
    }
    asked.min(usize::try_from(possible).unwrap_or(usize::MAX))
}

/// Accepts or refuses connections.
struct Door {
    seats: Arc<Seats>,
    porch: Porch,
    terms: Terms,
    shutdown: CancellationToken,
    connections: JoinSet<()>,
}

impl Door {
    fn let_in<S: Serves>(
        &mut self,
        stream: TcpStream,
        address: SocketAddr,
        service: impl Fn(Arc<Peer>, Option<Full>) -> S,
    ) {
        let source = Source::new(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed), address);
        match self.seats.take(source) {
            Ok((seat, evicted)) => {
                if let Some(idle) = evicted {
                    let connection = idle.source.connection;
                    tracing::debug!(connection, peer = %idle.source, "closed an idle connection to admit another");
                    if idle.has_spoken() && self.porch.may_leave(&idle) {
                        idle.leave.cancel();
                    } else {
                        idle.cut.cancel();
                    }
                }
                let peer = Arc::clone(&seat.peer);
                let connection = self.connection(&peer, self.terms.idle);
                let service = service(peer, None);
                self.connections.spawn(async move {
                    let _seat: Seat = seat;
                    connection.serve(stream, service).await;
                });
            }
            Err(full) => {
                let peer = self.seats.standing(source);
                self.porch.admit(&peer);
                let connection = self.connection(&peer, porch::STAY);
                let service = service(peer, Some(full));
                let stay = tokio::time::timeout(porch::STAY, async move {
                    connection.serve(stream, service).await;
                });
                self.connections.spawn(async move {
                    // How the task ended does not matter.
                    let _ = stay.await;
                });
            }
        }
    }

    fn connection(&self, peer: &Arc<Peer>, idle: Duration) -> Connection {
        Connection {
            terms: Terms {
                idle,
                ..self.terms.clone()
            },
            shutdown: self.shutdown.clone(),
            peer: Arc::clone(peer),
        }
    }
}

/// Settings that apply to every connection.
#[derive(Clone)]
struct Terms {
    builder: auto::Builder<TokioExecutor>,
    tls: Option<Arc<Tls>>,
    handshake: Duration,
    stall: Duration,
    idle: Duration,
}

impl Terms {
    fn new(config: &Config, tls: Option<Arc<Tls>>) -> Self {
        let idle = Duration::from_secs(config.idle_seconds);
        let headers = usize::try_from(config.max_header_bytes).unwrap_or(usize::MAX);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http2()
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
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(idle.min(KEEP_ALIVE))
            .max_headers(MAX_HEADERS)
            .max_buf_size(headers.max(LEAST_BUFFER));
        Self {
            builder,
            tls,
            handshake: Duration::from_secs(config.handshake_seconds),
            stall: Duration::from_secs(config.stall_seconds),
            idle,
        }
    }
}

impl Terms {
    /// The connection, after its TLS handshake if it needs one; `None` if that fails.
    async fn accept(&self, stream: TcpStream, peer: &Peer, deadline: Instant) -> Option<Wire> {
        let Some(tls) = &self.tls else {
            return Some(Either::Left(stream));
        };
        let (stream, certificate) = tls.accept(stream, deadline).await?;
        if let Some(certificate) = certificate {
            // A connection has one handshake.
            let _ = peer.certificate.set(certificate);
        }
        Some(stream)
    }
}

/// Sets the options of a socket. Where that fails, the peer is already gone, which shows soon.
fn prepare(stream: &TcpStream) {
    use rustix::net::sockopt;
    // Send small messages at once.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_tcp_keepidle(stream, PROBE_AFTER);
    let _ = sockopt::set_socket_keepalive(stream, true);
}

/// A service that marks its peer as having spoken: a request is the opening of HTTP/1.1.
#[derive(Clone)]
struct Spoken<S> {
    inner: S,
    peer: Arc<Peer>,
}

impl<S: Serves> Service<Request<Incoming>> for Spoken<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Incoming>) -> S::Future {
        self.peer.spoken.store(true, Ordering::Relaxed);
        self.inner.call(request)
    }
}

struct Connection {
    terms: Terms,
    shutdown: CancellationToken,
    peer: Arc<Peer>,
}

impl Connection {
    async fn serve<S: Serves>(self, stream: TcpStream, service: S) {
        let Self {
            terms,
            shutdown,
            peer,
        } = self;
        let _ended = EndGuard(&peer);
        prepare(&stream);
        let handshake = Instant::now() + terms.handshake;
        let stream = tokio::select! {
            biased;
            () = peer.cut.cancelled() => return,
            () = shutdown.cancelled() => return,
            accepted = terms.accept(stream, &peer, handshake) => match accepted {
                Some(stream) => stream,
                None => return,
            },
        };
        let stream = PatientStream::new(stream, &peer, handshake, terms.stall);
        let service = Spoken {
            inner: service,
            peer: Arc::clone(&peer),
        };
        let service = TowerToHyperService::new(service);
        let connection = terms
            .builder
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ending = Ending {
            peer: Arc::clone(&peer),
            shutdown,
            stops: false,
            leaves: None,
            watch: Watch::new(&peer, &terms),
        };
        // The connection is polled with every message; the watch on it only when a timer or token fires.
        let mut endings = FuturesUnordered::new();
        endings.push(ending.next());
        let ended = loop {
            tokio::select! {
                biased;
                Some((end, ending)) = endings.next() => match end {
                    End::Now => return,
                    End::Gracefully => {
                        connection.as_mut().graceful_shutdown();
                        endings.push(ending.next());
                    }
                },
                ended = &mut connection => break ended,
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.source, %error, "a connection ended");
        }
    }
}

/// The reasons to end a connection that do not come from the connection itself.
struct Ending {
    peer: Arc<Peer>,
    shutdown: CancellationToken,
    /// Whether the connection has been told that the server is shutting down.
    stops: bool,
    /// The time by which a connection that was asked to leave is cut off.
    leaves: Option<Instant>,
    watch: Watch,
}

/// How to end a connection.
enum End {
    /// Abort the calls in progress.
    Now,
    /// Finish the calls in progress first.
    Gracefully,
}

impl Ending {
    /// The next way to end the connection, and the state to wait for the one after it.
    async fn next(mut self) -> (End, Self) {
        let end = self.wait().await;
        (end, self)
    }

    async fn wait(&mut self) -> End {
        loop {
            let gone = self.leaves;
            tokio::select! {
                biased;
                () = self.peer.cut.cancelled() => return End::Now,
                () = self.shutdown.cancelled(), if !self.stops => {
                    self.stops = true;
                    return if self.peer.has_spoken() { End::Gracefully } else { End::Now };
                }
                () = self.peer.leave.cancelled(), if gone.is_none() => {
                    self.leaves = Some(Instant::now() + LEAVING);
                    return End::Gracefully;
                }
                () = sleep_until(gone.unwrap_or_else(Instant::now)), if gone.is_some() => return End::Now,
                state = self.watch.next() => match state {
                    ConnectionState::Well => {}
                    ConnectionState::Idle => self.peer.leave.cancel(),
                    ConnectionState::Stalled => {
                        tracing::info!(
                            peer = %self.peer.source,
                            "cut off a connection that stopped reading its reply (stall_seconds)"
                        );
                        return End::Now;
                    }
                }
            }
        }
    }
}

/// Checks a connection periodically, so that its calls need not.
struct Watch {
    peer: Arc<Peer>,
    ticks: tokio::time::Interval,
    /// When the replies age next, and the interval between two such steps.
    next_age: Instant,
    age: Duration,
    /// When the connection was last seen idle, and the call number at which it became idle.
    idle_since: Instant,
    last_call: Option<u64>,
    idle: Duration,
}

/// The result of a check by [`Watch`].
enum ConnectionState {
    /// Calls are in progress or have been recently.
    Well,
    /// No call for as long as a connection may be idle.
    Idle,
    /// The peer does not take a reply.
    Stalled,
}

impl Watch {
    fn new(peer: &Arc<Peer>, terms: &Terms) -> Self {
        let age = terms.stall / 2;
        let mut ticks = interval(age.min(terms.idle / 4).max(Duration::from_millis(50)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        Self {
            peer: Arc::clone(peer),
            ticks,
            next_age: now + age,
            age,
            idle_since: now,
            last_call: None,
            idle: terms.idle,
        }
    }

    async fn next(&mut self) -> ConnectionState {
        let now = self.ticks.tick().await;
        if now >= self.next_age {
            self.next_age = now + self.age;
            if self.peer.grow_older() {
                return ConnectionState::Stalled;
            }
        }
        let last = self.peer.idle_since();
        if last.is_none() || last != self.last_call {
            self.last_call = last;
            self.idle_since = now;
        } else if now.duration_since(self.idle_since) >= self.idle {
            return ConnectionState::Idle;
        }
        ConnectionState::Well
    }
}

/// Marks the peer as no longer silent when its connection ends.
struct EndGuard<'a>(&'a Peer);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.spoken.store(true, Ordering::Relaxed);
    }
}
