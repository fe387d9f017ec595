//! Around every call: an id, a log line when it ends, no way out for a panic, and the error table's words for what
//! tonic answers by itself. Reads that succeed are logged at `debug`, everything else at `info`, bugs at `error`.
//! No numbers of a tensor are ever logged, no session's name above `debug`, and of what a client chooses no more than
//! fits a line.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::bodies::{ReplyBody, ReplyMemory, RequestBody};
use super::caller::{Caller, Party};
use super::encoded::Encoded;
use super::memory::{Account, OutOfMemory, Reservation};
use super::methods::{Kind, Limits, REPLY_BYTES, bounded, is_read};
use super::peer::{Peer, next_call};
use super::run_event::RunEnd;
use super::status::{explain, internal};
use super::tags::ModelTag;
use crate::config::Config;
use crate::training::{ModelName, Owner};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// The memory of the call under way grows by `bytes`, until it is answered.
///
/// # Errors
/// There are not so many left for it.
pub fn hold(bytes: usize) -> Result<(), OutOfMemory> {
    in_memory(|memory| memory.extend(bytes)).unwrap_or(Ok(()))
}

/// Uses `bytes` that the call under way holds to spare; `false` where there are fewer.
pub fn use_spare(bytes: usize) -> bool {
    in_memory(|memory| memory.use_spare(bytes)).unwrap_or(false)
}

/// The memory that the call under way holds for its request.
pub fn held() -> usize {
    in_memory(|memory| memory.bytes()).unwrap_or(0)
}

/// The call under way holds `bytes` less: a part of its request is used up.
pub fn release(bytes: usize) {
    // Outside of a call nothing is held.
    let _ = in_memory(|memory| memory.shrink(bytes));
}

/// What `look` makes of the memory of the call under way; `None` outside of one.
fn in_memory<V>(look: impl FnOnce(&mut Reservation) -> V) -> Option<V> {
    CALL.try_with(|call| look(&mut call.lock_memory())).ok()
}

/// One call under way.
struct Call {
    id: u64,
    method: String,
    model: OnceLock<ModelName>,
    peer: Option<Arc<Peer>>,
    account: Arc<Account>,
    /// The memory that its request takes, for as long as work on it goes on.
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
        call.model.get_or_init(|| {
            tracing::debug!(call = call.id, %name, tag = %ModelTag(name), "a call's model");
            name.clone()
        });
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

/// The turns of the call's connection to make sessions and models; `None` where it has no connection.
pub fn makings_of_connection() -> Option<Arc<Semaphore>> {
    let makings = CALL.try_with(|call| {
        let peer = call.peer.as_ref()?;
        Some(Arc::clone(&peer.makings))
    });
    makings.ok().flatten()
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

/// The account of the call under way, if there is one.
pub fn account() -> Option<Arc<Account>> {
    CALL.try_with(|call| Arc::clone(&call.account)).ok()
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
        model = %ModelTag(model),
        reason = ?end.reason,
        steps_done = end.steps_done,
        step = end.step,
        queued_ms = end.timing.queued.as_secs_f64() * 1e3,
        computed_ms = end.timing.computed.as_secs_f64() * 1e3,
        "run ended"
    );
}

impl Call {
    fn lock_memory(&self) -> MutexGuard<'_, Reservation> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its reply holds from now on: work on the request is over.
    fn memory_of_reply(&self) -> Reservation {
        let mut memory = std::mem::take(&mut *self.lock_memory());
        memory.shrink_to(REPLY_BYTES);
        memory
    }

    fn ended(&self, code: Code) {
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    call = self.id,
                    peer = self.peer(),
                    method = self.method,
                    model = self.model(),
                    ?code,
                    ms = self.started.elapsed().as_secs_f64() * 1e3,
                    $text
                )
            };
        }
        let is_read = is_read(&self.method);
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss => line!(error, "call failed"),
            Code::Ok if is_read => line!(debug, "call ended"),
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
            | Code::Unauthenticated => line!(info, "call ended"),
        }
    }

    fn peer(&self) -> String {
        let peer = self.peer.as_ref();
        peer.map(|peer| peer.source.to_string()).unwrap_or_default()
    }

    fn model(&self) -> String {
        let model = self.model.get();
        model
            .map(|name| ModelTag(name).to_string())
            .unwrap_or_default()
    }
}

/// The services with all of the above around them.
#[derive(Clone)]
pub struct Telemetry<S> {
    inner: S,
    limits: Limits,
    account: Arc<Account>,
    peer: Option<Arc<Peer>>,
}

impl<S> Telemetry<S> {
    /// Wraps `inner`, whose messages take of the memory of `account` as much as `config` says.
    pub fn new(inner: S, config: &Config, account: Arc<Account>) -> Self {
        Self {
            inner,
            limits: Limits::new(config),
            account,
            peer: None,
        }
    }

    /// For the calls of one connection.
    pub fn for_peer(self, peer: Arc<Peer>) -> Self {
        Self {
            account: Arc::clone(&peer.account),
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
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (account, peer) = (Arc::clone(&self.account), self.peer.clone());
        let kind = Kind::of(request.uri().path());
        let busy = peer.as_ref().filter(|_| kind.keeps_busy());
        let active = busy.map(Peer::call_begins);
        let (memory, refused) = match kind.hold(&self.account) {
            Ok(memory) => (memory, None),
            Err(error) => (Reservation::default(), Some(Status::from(error))),
        };
        let call = Arc::new(Call {
            id: next_call(),
            method: bounded(request.uri().path()),
            model: OnceLock::new(),
            peer: peer.clone(),
            account: Arc::clone(&account),
            memory: Arc::new(Mutex::new(memory)),
            started: Instant::now(),
        });
        let arrival = self.limits.arrival(kind);
        let request = request.map(|body| {
            let reservation = Arc::clone(&call.memory);
            RequestBody::new(body, reservation, arrival)
        });
        // The instance that was polled ready is the one to call.
        let inner = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, inner);
        let max_request_bytes = self.limits.request_bytes;
        Box::pin(CALL.scope(Arc::clone(&call), async move {
            let mut unanswered = Unanswered(Some(Arc::clone(&call)));
            let answered = match refused {
                Some(status) => Ok(Ok(status.into_http())),
                None => {
                    let answer = AssertUnwindSafe(async { inner.call(request).await });
                    answer.catch_unwind().await
                }
            };
            unanswered.0 = None;
            let mut response = match answered {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                // The panic hook has written what happened.
                Err(_) => internal().into_http(),
            };
            let refused = Status::from_header_map(response.headers()).map(|status| {
                match explain(&status, max_request_bytes) {
                    Some(better) => {
                        let code = better.code();
                        response = better.into_http();
                        code
                    }
                    None => status.code(),
                }
            });
            let mut id = HeaderValue::from(call.id);
            // A number that never comes again is not to fill the table of headers that the connection remembers.
            id.set_sensitive(true);
            response.headers_mut().insert(REQUEST_ID, id);
            if let Some(code) = refused {
                call.ended(code);
                return Ok(response.map(|_| ReplyBody::default()));
            }
            let (delivery, is_stream) = (kind.delivery(), kind.ends_late());
            let encoded = Encoded::taken_from(&mut response);
            let memory = match &encoded {
                Some(encoded) => ReplyMemory::Counted(encoded.memory()),
                None if is_stream => ReplyMemory::InParts(Reservation::default(), account),
                None => ReplyMemory::InParts(call.memory_of_reply(), account),
            };
            Ok(response.map(|inner| {
                let inner = match encoded {
                    Some(encoded) => Body::new(encoded.into_body()),
                    None => inner,
                };
                let inner = if is_stream {
                    Body::new(LoggedBody {
                        inner,
                        call: Some(call),
                    })
                } else {
                    call.ended(Code::Ok);
                    inner
                };
                ReplyBody::new(inner, memory, peer, active, delivery)
            }))
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
