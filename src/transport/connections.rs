//! Connections: accepted up to a number, cut off when they say or take nothing, drained within a time. HTTP/2 is served
//! by hyper itself rather than by tonic's server, whose timeouts answer CANCELLED, whose limits are per connection and
//! whose shutdown waits for silent peers.

mod porch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::porch::{MOST_STANDING, Porch};
use crate::config::Config;
use crate::host::limits::memory::Account;
use crate::transport::first_bytes::PatientStream;
use crate::transport::methods::STREAM_WINDOW;
use crate::transport::peer::Peer;
use crate::transport::seats::{Seat, Seats};
use crate::transport::serves::Serves;
use crate::transport::source::Source;

/// The upload window of a connection; see [`STREAM_WINDOW`].
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

/// How long a connection that was asked to leave may take to do so.
const LEAVING: Duration = Duration::from_secs(1);

/// Files that the server opens besides its connections: snapshots, folders, the runtime's own.
const OTHER_FILES: u64 = 64;

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Serves connections, each by a service of its own, until `shutdown`, then drains them, and returns at the latest
/// `drain_seconds` later. What calls hold is taken from `account`.
pub async fn serve<S: Serves>(
    listener: TcpListener,
    service: impl Fn(Arc<Peer>) -> S,
    account: Arc<Account>,
    config: &Config,
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
        terms: Terms::new(config),
        shutdown,
        connections: JoinSet::new(),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = door.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
            // Collects those that have ended, so that the set does not grow.
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

/// Lets connections in.
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
        service: impl Fn(Arc<Peer>) -> S,
    ) {
        let source = Source::new(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed), address);
        match self.seats.take(source) {
            Ok((seat, evicted)) => {
                if let Some(idle) = evicted {
                    let connection = idle.source.connection;
                    tracing::debug!(connection, peer = %idle.source, "an idle connection gives way");
                    if idle.has_spoken() && self.porch.may_leave(&idle) {
                        idle.leave.cancel();
                    } else {
                        idle.cut.cancel();
                    }
                }
                let peer = Arc::clone(&seat.peer);
                let connection = self.connection(&peer, self.terms.idle);
                let service = service(peer);
                self.connections.spawn(async move {
                    let _seat: Seat = seat;
                    connection.serve(stream, service).await;
                });
            }
            Err(full) => {
                let peer = self.seats.standing(source);
                self.porch.admit(&peer);
                let connection = self.connection(&peer, porch::STAY);
                let service = porch::refusing(service(peer), full);
                let stay = tokio::time::timeout(porch::STAY, async move {
                    connection.serve(stream, service).await;
                });
                self.connections.spawn(async move {
                    // Whether it left by itself is of no interest.
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

/// What every connection has to keep to.
#[derive(Clone)]
struct Terms {
    builder: http2::Builder<TokioExecutor>,
    handshake: Duration,
    stall: Duration,
    idle: Duration,
}

impl Terms {
    fn new(config: &Config) -> Self {
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
        Self {
            builder,
            handshake: Duration::from_secs(config.handshake_seconds),
            stall: Duration::from_secs(config.stall_seconds),
            idle: Duration::from_secs(config.idle_seconds),
        }
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
        let _ended = Ended(&peer);
        // Small messages are to leave at once; a peer that is gone already is noticed below.
        let _ = stream.set_nodelay(true);
        let stream = PatientStream::new(stream, &peer, terms.handshake, terms.stall);
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
        // The connection is polled with every message; what may end it, only when it has something to say.
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

/// What ends a connection from outside.
struct Ending {
    peer: Arc<Peer>,
    shutdown: CancellationToken,
    /// Whether it was told that the server stops.
    stops: bool,
    /// When it is to be gone, where it was told to leave.
    leaves: Option<Instant>,
    watch: Watch,
}

/// How a connection ends.
enum End {
    /// With the calls under way.
    Now,
    /// When the calls under way are answered.
    Gracefully,
}

impl Ending {
    /// The next thing to do, and what comes after it.
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
                    Watched::Well => {}
                    Watched::Idle => self.peer.leave.cancel(),
                    Watched::Stalled => {
                        tracing::info!(
                            peer = %self.peer.source,
                            "a connection was cut off that took nothing of a reply (stall_seconds)"
                        );
                        return End::Now;
                    }
                }
            }
        }
    }
}

/// Looks after a connection from time to time, so that its calls need not.
struct Watch {
    peer: Arc<Peer>,
    ticks: tokio::time::Interval,
    /// When replies grow older next, and how long that takes.
    next_age: Instant,
    age: Duration,
    /// Since when no call has been seen, and after which one it fell idle.
    idle_since: Instant,
    last_call: Option<u64>,
    idle: Duration,
}

/// What [`Watch`] sees.
enum Watched {
    /// Calls under way, or that have been so lately.
    Well,
    /// No call for as long as a connection may be idle.
    Idle,
    /// A reply that is not taken.
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

    async fn next(&mut self) -> Watched {
        let now = self.ticks.tick().await;
        if now >= self.next_age {
            self.next_age = now + self.age;
            if self.peer.grow_older() {
                return Watched::Stalled;
            }
        }
        let last = self.peer.idle_since();
        if last.is_none() || last != self.last_call {
            self.last_call = last;
            self.idle_since = now;
        } else if now.duration_since(self.idle_since) >= self.idle {
            return Watched::Idle;
        }
        Watched::Well
    }
}

/// Tells on its end that a connection is silent no more.
struct Ended<'a>(&'a Peer);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.spoken.store(true, Ordering::Relaxed);
    }
}
