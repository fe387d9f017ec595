//! The operator's port: metrics, probes and health in plain HTTP, apart from the clients' port. It tells nothing of a
//! model or a person, so it needs no credentials; who can reach it is decided by its address.
//!
//! ```text
//! GET /metrics   OpenMetrics or Prometheus text
//! GET /livez     200 while the process answers
//! GET /readyz    200, or 503 with a reason a line: until the data folder is read, while a shared store cannot be reached,
//!                and from the shutdown on
//! grpc.health.v1.Health over HTTP/2 without TLS
//! ```
//!
//! It opens before the data folder is read. A probe takes no place from a client: connections are few and short, and a
//! new one ends the oldest.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, prometheus_text, text};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Service as _;

use super::health;

/// Open connections; a further one ends the oldest.
const MOST_CONNECTIONS: usize = 32;

/// Calls in progress on one connection.
const MOST_STREAMS: u32 = 16;

/// The largest list of headers, and the largest health request, in bytes.
const LARGEST_HEADERS: u32 = 16 << 10;
const LARGEST_CHECK: usize = 1 << 10;

/// Time for the headers of a request, and for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection stays open, and how long it may then take to close.
const LIFETIME: Duration = Duration::from_secs(60);
const LEAVING: Duration = Duration::from_secs(5);

/// Pause before the next accept after an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The media type of OpenMetrics, and all of it as an answer writes it.
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const TEXT: &str = "text/plain; charset=utf-8";

/// What the server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Recovering,
    Serving,
    /// The store that the nodes of a cluster share cannot be reached.
    CutOff,
    Stopping,
}

/// The operator's port, open until this is dropped.
#[derive(Debug)]
pub struct Ops {
    address: SocketAddr,
    state: Arc<State>,
    _stop: DropGuard,
}

struct State {
    phase: Mutex<Phase>,
    /// Set once the data folder has been read.
    registry: OnceLock<Registry>,
    reporter: HealthReporter,
    health: HealthServer<HealthService>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Ops {
    /// Opens the port and answers on it.
    ///
    /// # Errors
    /// The address cannot be used.
    pub async fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let reporter = HealthReporter::new();
        health::announce(&reporter, tonic_health::ServingStatus::NotServing).await;
        let service = HealthService::from_health_reporter(reporter.clone());
        let state = Arc::new(State {
            phase: Mutex::new(Phase::Recovering),
            registry: OnceLock::new(),
            reporter,
            health: HealthServer::new(service).max_decoding_message_size(LARGEST_CHECK),
        });
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&state), stop.clone()));
        tracing::info!(%address, "answering probes and scrapes");
        Ok(Self {
            address,
            state,
            _stop: stop.drop_guard(),
        })
    }

    /// The address, with the port that was free if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server serves, and `registry` holds its metrics.
    pub(super) async fn serving(&self, mut registry: Registry) {
        registry.register_collector(Box::new(Readiness(Arc::clone(&self.state))));
        // Nothing else sets it.
        let _ = self.state.registry.set(registry);
        *self.state.phase() = Phase::Serving;
        health::announce(&self.state.reporter, tonic_health::ServingStatus::Serving).await;
    }

    /// The store that the nodes of a cluster share can be reached, or not.
    pub(super) async fn reached(&self, is_reached: bool) {
        let (phase, status) = if is_reached {
            (Phase::Serving, tonic_health::ServingStatus::Serving)
        } else {
            (Phase::CutOff, tonic_health::ServingStatus::NotServing)
        };
        *self.state.phase() = phase;
        health::announce(&self.state.reporter, status).await;
    }

    /// The server has been asked to stop.
    pub(super) async fn stopping(&self) {
        *self.state.phase() = Phase::Stopping;
        health::announce(
            &self.state.reporter,
            tonic_health::ServingStatus::NotServing,
        )
        .await;
    }
}

impl State {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the server is not ready, a reason a line; empty if it is.
    fn reasons(&self) -> &'static str {
        match *self.phase() {
            Phase::Recovering => "recovery: the data folder is being read\n",
            Phase::Serving => "",
            Phase::CutOff => {
                "store: the store that the servers of the cluster share cannot be reached\n"
            }
            Phase::Stopping => "shutdown: the last calls are being finished\n",
        }
    }
}

/// Whether the server is ready, as a metric.
#[derive(Debug)]
struct Readiness(Arc<State>);

impl Collector for Readiness {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let ready: Gauge = Gauge::default();
        ready.set(i64::from(self.0.reasons().is_empty()));
        ready.encode(to.encode_descriptor(
            "backpropd_ready",
            "Whether /readyz answers 200",
            None,
            ready.metric_type(),
        )?)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    let mut oldest = VecDeque::with_capacity(MOST_CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            biased;
            // Dropping the set ends the connections.
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        oldest.retain(|open: &tokio::task::AbortHandle| !open.is_finished());
        if oldest.len() >= MOST_CONNECTIONS
            && let Some(open) = oldest.pop_front()
        {
            open.abort();
        }
        oldest.push_back(connections.spawn(serve(stream, Arc::clone(&state))));
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LARGEST_HEADERS as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LARGEST_HEADERS);
    let service = service_fn(move |request| answer(Arc::clone(&state), request));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let over = tokio::time::timeout(LIFETIME, connection.as_mut()).await;
    if over.is_err() {
        connection.as_mut().graceful_shutdown();
        // How it ends does not matter.
        let _ = tokio::time::timeout(LEAVING, connection).await;
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if request.uri().path().starts_with(health::PATH) {
        let mut health = state.health.clone();
        let answered = tokio::time::timeout(PATIENCE, health.call(request)).await;
        return answered.unwrap_or_else(|_| Ok(plain(StatusCode::REQUEST_TIMEOUT, TEXT, "")));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD alone\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        return Ok(refused);
    }
    Ok(match request.uri().path() {
        "/livez" => plain(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match state.reasons() {
            "" => plain(StatusCode::OK, TEXT, "ready\n"),
            reasons => plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, reasons),
        },
        "/metrics" => metrics(&state, &request),
        _ => plain(
            StatusCode::NOT_FOUND,
            TEXT,
            "here are /metrics, /livez and /readyz\n",
        ),
    })
}

fn metrics(state: &State, request: &Request<Incoming>) -> Response<Body> {
    let Some(registry) = state.registry.get() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, state.reasons());
    };
    let accepted = request.headers().get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    let mut body = String::with_capacity(64 << 10);
    let (kind, encoded) = if accepted.any(|accepted| accepted.contains(OPEN_METRICS)) {
        (OPEN_METRICS_TYPE, text::encode(&mut body, registry))
    } else {
        let encoded = prometheus_text::encode(&mut body, registry);
        (prometheus_text::CONTENT_TYPE, encoded)
    };
    match encoded {
        Ok(()) => plain(StatusCode::OK, kind, body),
        // Writing to a string does not fail.
        Err(fmt::Error) => plain(StatusCode::INTERNAL_SERVER_ERROR, TEXT, ""),
    }
}

fn plain(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
