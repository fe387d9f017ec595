//! An S3 in memory for tests: conditional writes are checked and applied under one lock, and requests can be told to
//! fail as a network or a busy store makes them fail.

mod again;
mod objects;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

use objects::{Objects, Shared};

pub use again::run_test_again;

/// What happens to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is applied, and the connection breaks before the answer.
    LoseReply,
    /// It is applied, and no answer comes.
    HangAfter,
    /// The connection breaks before it is applied.
    HangUpBefore,
    /// The connection breaks, and it is applied so much later.
    Late(Duration),
    /// It is not applied, and the answer is 503.
    BusyBefore,
    /// It is applied, and the answer is 503.
    BusyAfter,
    /// It is applied, and the answer is 500.
    ErrorAfter,
    /// It is not applied, and the answer is 409.
    ConflictBefore,
    /// It is applied twice, as a proxy that repeats requests does, and the answer is the second one.
    Echo,
}

/// All faults, for a choice at random.
pub const FAULTS: [Fault; 9] = [
    Fault::LoseReply,
    Fault::HangAfter,
    Fault::HangUpBefore,
    Fault::Late(Duration::from_millis(300)),
    Fault::BusyBefore,
    Fault::BusyAfter,
    Fault::ErrorAfter,
    Fault::ConflictBefore,
    Fault::Echo,
];

/// How the store is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The one bucket that exists.
    pub bucket: String,
    /// AWS_ACCESS_KEY_ID.
    pub key: String,
    /// AWS_SECRET_ACCESS_KEY.
    pub secret: String,
    /// The region in which requests must be signed, if it matters.
    pub region: Option<String>,
    /// How long each answer takes.
    pub delay: Duration,
    /// How many of a thousand writes meet a fault, chosen at random from [`FAULTS`].
    pub faults_per_mille: u32,
    /// For the choice.
    pub seed: u64,
    /// Whether conditions are ignored.
    pub ignores_conditions: bool,
    /// Whether all writes are forbidden.
    pub is_read_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bucket: "backpropd".to_owned(),
            key: "key".to_owned(),
            secret: "secret".to_owned(),
            region: None,
            delay: Duration::ZERO,
            faults_per_mille: 0,
            seed: 1,
            ignores_conditions: false,
            is_read_only: false,
        }
    }
}

/// A running store.
#[derive(Clone)]
pub struct S3 {
    state: Arc<State>,
}

struct State {
    settings: Settings,
    objects: Arc<Objects>,
    service: S3Service,
    /// What happens to the next writes.
    next: Mutex<VecDeque<Option<Fault>>>,
    random: Mutex<ChaCha8Rng>,
    log: Mutex<Vec<String>>,
}

impl S3 {
    /// A store, which [`S3::serve`] makes reachable.
    pub fn new(settings: Settings) -> Self {
        let objects = Arc::new(Objects::new(settings.bucket.clone()));
        objects
            .ignores_conditions
            .store(settings.ignores_conditions, Relaxed);
        let mut service = S3ServiceBuilder::new(Shared(Arc::clone(&objects)));
        service.set_auth(SimpleAuth::from_single(
            settings.key.clone(),
            settings.secret.clone(),
        ));
        Self {
            state: Arc::new(State {
                random: Mutex::new(ChaCha8Rng::seed_from_u64(settings.seed)),
                settings,
                objects,
                service: service.build(),
                next: Mutex::default(),
                log: Mutex::default(),
            }),
        }
    }

    /// Answers on this listener until the task is dropped.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let state = Arc::clone(&self.state);
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                // A connection that ends in an error is what a fault makes of it.
                let _ = connection.await;
            });
        }
    }

    /// Has the next writes meet these faults, one each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state.next().extend(faults);
    }

    /// Keys and contents.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.state.objects.snapshot()
    }

    /// A line for each request so far.
    pub fn log(&self) -> Vec<String> {
        self.state
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl State {
    fn next(&self) -> std::sync::MutexGuard<'_, VecDeque<Option<Fault>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, method: &Method) -> Option<Fault> {
        if method != Method::PUT {
            return None;
        }
        if let Some(fault) = self.next().pop_front() {
            return fault;
        }
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let meets = random.random_range(0..1000) < self.settings.faults_per_mille;
        meets.then(|| FAULTS[random.random_range(0..FAULTS.len())])
    }

    fn note(&self, line: String) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(line);
    }
}

type Reply = Response<s3s::Body>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Reply, io::Error> {
    tokio::time::sleep(state.settings.delay).await;
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Request::from_parts(parts, bytes);
    if let Some(refusal) = refusal(&state.settings, &request) {
        return Ok(refusal);
    }
    let fault = state.fault(request.method());
    let line = format!("{} {} {fault:?}", request.method(), request.uri());
    let broken = || Err(io::Error::other("the connection breaks"));
    match fault {
        Some(Fault::HangUpBefore) => {
            state.note(line);
            return broken();
        }
        Some(Fault::BusyBefore) => {
            state.note(line);
            return Ok(status(503, "SlowDown"));
        }
        Some(Fault::ConflictBefore) => {
            state.note(line);
            return Ok(status(409, "ConditionalRequestConflict"));
        }
        Some(Fault::Late(delay)) => {
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let reply = apply(&state, &request).await;
                state.note(format!("{line} -> {}", reply.status()));
            });
            return broken();
        }
        Some(Fault::Echo) => drop(apply(&state, &request).await),
        Some(Fault::LoseReply | Fault::HangAfter | Fault::BusyAfter | Fault::ErrorAfter) | None => {
        }
    }
    let reply = apply(&state, &request).await;
    state.note(format!("{line} -> {}", reply.status()));
    match fault {
        Some(Fault::LoseReply) => broken(),
        Some(Fault::HangAfter) => std::future::pending().await,
        Some(Fault::BusyAfter) => Ok(status(503, "SlowDown")),
        Some(Fault::ErrorAfter) => Ok(status(500, "InternalError")),
        Some(
            Fault::HangUpBefore
            | Fault::Late(_)
            | Fault::BusyBefore
            | Fault::ConflictBefore
            | Fault::Echo,
        )
        | None => Ok(reply),
    }
}

async fn apply(state: &State, request: &Request<Bytes>) -> Reply {
    let request = request.clone().map(s3s::Body::from);
    match state.service.call(request).await {
        Ok(reply) => reply,
        Err(_) => status(500, "InternalError"),
    }
}

/// What a store refuses before it looks at its objects.
fn refusal(settings: &Settings, request: &Request<Bytes>) -> Option<Reply> {
    let authorization = request.headers().get("authorization");
    let authorization = authorization.and_then(|value| value.to_str().ok());
    if let Some(region) = &settings.region
        && !authorization.is_some_and(|text| text.contains(&format!("/{region}/s3/")))
    {
        return Some(status(400, "AuthorizationHeaderMalformed"));
    }
    let is_write = matches!(
        *request.method(),
        Method::PUT | Method::POST | Method::DELETE
    );
    (settings.is_read_only && is_write).then(|| status(403, "AccessDenied"))
}

fn status(status: u16, code: &str) -> Reply {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    let mut reply = Response::new(s3s::Body::from(body));
    *reply.status_mut() = hyper::StatusCode::from_u16(status).expect("it is a status");
    reply
}
