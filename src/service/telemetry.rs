//! Around every call: an id, a log line when it ends, no way out for a panic, and the error table's words for what
//! tonic answers by itself. Reads that succeed are logged at `debug`, everything else at `info`, bugs at `error`.
//! No numbers of a tensor are ever logged.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::bodies::{Peer, ReplyBody, RequestBody};
use super::caller::{Caller, Party};
use super::memory::{Memory, Reservation};
use super::run_event::RunEnd;
use super::status::{explain, internal};
use crate::config::Config;
use crate::training::{ModelName, Owner};

/// Methods whose replies are streams, which end long after their headers are sent.
const STREAMS: [&str; 3] = ["/TrainBatch", "/WatchModel", "/ExportModel"];

/// Methods whose requests are streams that may pause: they are watched elsewhere, or cost nothing.
const PAUSES: [&str; 2] = ["/ServerReflectionInfo", "/ImportModel"];

/// Methods that read; their successes are too many and too dull for the log.
const READS: [&str; 10] = [
    "/Gradients",
    "/Predict",
    "/GetModel",
    "/GetParameters",
    "/GetSession",
    "/GetServerInfo",
    "/Check",
    "/ListModels",
    "/ListSessions",
    "/ServerReflectionInfo",
];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

static NEXT_CALL: AtomicU64 = AtomicU64::new(1);

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// One call under way.
struct Call {
    id: u64,
    method: String,
    model: OnceLock<ModelName>,
    peer: Option<Arc<Peer>>,
    /// The memory that its request takes, for as long as anybody works on it.
    memory: Arc<Mutex<Reservation>>,
    started: Instant,
}

/// The id of the call under way, as its log line shows it.
pub fn call_id() -> String {
    CALL.try_with(|call| call.id.to_string())
        .unwrap_or_else(|_| "unknown".to_owned())
}

/// Tells the log which model the call under way is about, and whose turn it takes.
pub fn note_model(name: &ModelName) {
    // Outside of a call there is nobody to tell. A model may be noted twice.
    let _ = CALL.try_with(|call| {
        call.model.get_or_init(|| name.clone());
    });
}

/// Who asks in the call under way; outside of one, the server itself.
pub fn caller() -> Caller {
    let caller = CALL.try_with(|call| {
        let caller = match &call.peer {
            Some(peer) => peer.source.caller(),
            None => Caller::SERVER,
        };
        match call.model.get() {
            Some(name) => caller.in_session(&name.session),
            None => caller,
        }
    });
    caller.unwrap_or(Caller::SERVER)
}

/// Whose share the sessions count for that the call under way makes; `None` outside of one.
pub fn owner() -> Option<Owner> {
    let caller = caller();
    (caller != Caller::SERVER).then_some(Owner(caller.origin.0))
}

/// The narrowest party of [`caller`]: its session, or its connection where it names none.
pub fn party() -> Party {
    caller().session
}

/// `work`, which goes on beside the call under way, with that call's id.
pub fn in_this_call<W: Future>(work: W) -> impl Future<Output = W::Output> {
    let call = CALL.try_with(Arc::clone).ok();
    async move {
        match call {
            Some(call) => CALL.scope(call, work).await,
            None => work.await,
        }
    }
}

/// A run has ended.
pub fn run_ended(model: &ModelName, end: &RunEnd) {
    tracing::info!(
        call = call_id(),
        %model,
        reason = ?end.reason,
        steps_done = end.steps_done,
        step = end.step,
        queued_ms = end.timing.queued.as_secs_f64() * 1e3,
        computed_ms = end.timing.computed.as_secs_f64() * 1e3,
        "run ended"
    );
}

impl Call {
    fn ended(&self, code: Code) {
        let ms = || self.started.elapsed().as_secs_f64() * 1e3;
        let model = || {
            self.model
                .get()
                .map(ModelName::to_string)
                .unwrap_or_default()
        };
        let (call, method) = (self.id, &self.method);
        let is_read = READS.iter().any(|read| method.ends_with(read));
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss => {
                tracing::error!(
                    call,
                    method,
                    model = model(),
                    ?code,
                    ms = ms(),
                    "call failed"
                );
            }
            Code::Ok if is_read => tracing::debug!(
                call,
                method,
                model = model(),
                ?code,
                ms = ms(),
                "call ended"
            ),
            Code::Ok
            | Code::Cancelled
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unavailable
            | Code::Unauthenticated => {
                tracing::info!(
                    call,
                    method,
                    model = model(),
                    ?code,
                    ms = ms(),
                    "call ended"
                );
            }
        }
    }
}

/// The services with all of the above around them.
#[derive(Clone)]
pub struct Telemetry<S> {
    inner: S,
    max_request_bytes: usize,
    memory: Memory,
    patience: Duration,
    peer: Option<Arc<Peer>>,
}

impl<S> Telemetry<S> {
    /// Wraps `inner`, whose messages take of `memory` as much as `config` says.
    pub fn new(inner: S, config: &Config, memory: Memory) -> Self {
        Self {
            inner,
            max_request_bytes: config.max_request_bytes,
            memory,
            patience: Duration::from_secs(config.stall_seconds),
            peer: None,
        }
    }

    /// For the calls of one connection.
    pub fn for_peer(self, peer: Arc<Peer>) -> Self {
        Self {
            peer: Some(peer),
            ..self
        }
    }
}

impl<S, B> Service<Request<B>> for Telemetry<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = self.peer.clone();
        let call = Arc::new(Call {
            id: NEXT_CALL.fetch_add(1, Ordering::Relaxed),
            method: request.uri().path().to_owned(),
            model: OnceLock::new(),
            peer: peer.clone(),
            memory: Arc::default(),
            started: Instant::now(),
        });
        let (memory, patience) = (self.memory.clone(), self.patience);
        let may_pause = PAUSES.iter().any(|method| call.method.ends_with(method));
        let request = request.map(|body| {
            let reservation = Arc::clone(&call.memory);
            let patience = (!may_pause).then_some(patience);
            RequestBody::new(body, memory.clone(), reservation, patience)
        });
        // The instance that was polled ready is the one to call.
        let inner = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, inner);
        let max_request_bytes = self.max_request_bytes;
        Box::pin(CALL.scope(Arc::clone(&call), async move {
            let mut unanswered = Unanswered(Some(Arc::clone(&call)));
            let answered = AssertUnwindSafe(async { inner.call(request).await })
                .catch_unwind()
                .await;
            unanswered.0 = None;
            let mut response = match answered {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                // The panic hook has written what happened.
                Err(_) => internal().into_http(),
            };
            let refused = Status::from_header_map(response.headers());
            if let Some(status) = &refused
                && let Some(better) = explain(status, max_request_bytes)
            {
                response = better.into_http();
            }
            let code = Status::from_header_map(response.headers()).map(|status| status.code());
            let mut id = HeaderValue::from(call.id);
            // A number that never comes again is not to fill the table of headers that the connection remembers.
            id.set_sensitive(true);
            response.headers_mut().insert(REQUEST_ID, id);
            let is_stream = STREAMS.iter().any(|stream| call.method.ends_with(stream));
            if let Some(code) = code {
                call.ended(code);
            } else if is_stream {
                response = response.map(|inner| {
                    Body::new(LoggedBody {
                        inner,
                        call: Some(call),
                    })
                });
            } else {
                call.ended(Code::Ok);
                response =
                    response.map(|inner| Body::new(ReplyBody::new(inner, memory, peer, patience)));
            }
            Ok(response)
        }))
    }
}

/// Logs a call whose caller left before it was answered.
struct Unanswered(Option<Arc<Call>>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.ended(Code::Cancelled);
        }
    }
}

/// A stream that logs its own end.
struct LoggedBody {
    inner: Body,
    call: Option<Arc<Call>>,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(call) = self.call.take()
        {
            call.ended(Status::from_header_map(trailers).map_or(Code::Ok, |status| status.code()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.ended(Code::Cancelled);
        }
    }
}
