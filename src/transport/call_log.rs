//! Wraps every call: gives it an id, logs it when it ends, catches panics, and rewrites tonic's own errors into those
//! of the registry of reasons. Successful reads are logged at `debug`, everything else at `info`, bugs at `error`.
//!
//! The log never holds entries of a tensor, names sessions only at `debug`, and truncates text that a client chose.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Request, Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::audit::{Audited, Outcome};
use super::bodies::{Arrival, ReplyBody, ReplyMemory, RequestBody};
use super::call_metrics::{CallMetrics, MethodIndex};
use super::login::Entrance;
use super::methods::{HEALTH, Kind, Limits, REPLY_BYTES, bounded, is_read, shows};
use super::peer::{Peer, next_call};
use super::seats::Full;
use super::timeout::deadline_of;
use super::trace::TraceParent;
use super::traces::{Ended, Traces};
use crate::config::Config;
use crate::encoded::Encoded;
use crate::host::caller::Caller;
use crate::host::identity::Login;
use crate::host::limits::memory::{Account, Reservation};
use crate::host::party::Parties;
use crate::host::refused::Refused;
use crate::host::tags::ModelTag;
use crate::status::{explain, internal, with_request};

/// The header with a call's number.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A call in progress, with what its log line needs.
struct Call {
    caller: Arc<Caller>,
    metrics: Arc<CallMetrics>,
    traces: Traces,
    method: MethodIndex,
    /// The path of a method that the server does not have.
    unknown: Option<String>,
    trace: Option<TraceParent>,
    peer: Option<Arc<Peer>>,
    /// Whether the login was refused.
    is_rejected: bool,
    started: Instant,
}

impl Call {
    /// Reduces the call's memory to what a reply holds, because work on the request is over.
    fn memory_of_reply(&self) -> Reservation {
        let mut memory = std::mem::take(&mut *self.caller.memory());
        memory.shrink_to(REPLY_BYTES);
        memory
    }

    fn ended(&self, code: Code) {
        let took = self.started.elapsed();
        self.metrics.note_end(self.method, code, took);
        self.traces.record(&Ended {
            id: self.caller.id,
            path: &self.metrics.method(self.method).path,
            parent: self.trace,
            code,
            took,
        });
        let method = self.method();
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    call = self.caller.id,
                    peer = self.peer(),
                    method,
                    model = self.model(),
                    ?code,
                    trace = self.trace.map(tracing::field::display),
                    ms = took.as_secs_f64() * 1e3,
                    $text
                )
            };
        }
        let is_read = self.is_read();
        self.audit(Outcome::Ended(code));
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

    fn is_read(&self) -> bool {
        match &self.unknown {
            Some(path) => is_read(path),
            None => self.metrics.method(self.method).is_read,
        }
    }

    fn audit(&self, outcome: Outcome) {
        let method = self.method();
        Audited {
            caller: &self.caller,
            method,
            is_look: self.is_read() || shows(method),
            is_rejected: self.is_rejected,
            outcome,
        }
        .record(|| self.peer());
    }

    fn method(&self) -> &str {
        let path = &self.metrics.method(self.method).path;
        self.unknown.as_deref().unwrap_or(path)
    }

    fn peer(&self) -> String {
        let peer = self.peer.as_ref();
        peer.map(|peer| peer.source.to_string()).unwrap_or_default()
    }

    fn model(&self) -> String {
        let model = self.caller.model();
        model
            .map(|name| ModelTag(name).to_string())
            .unwrap_or_default()
    }
}

/// Why a call is not admitted.
struct Refusal {
    status: Box<Status>,
    /// Whether the caller's login was refused.
    is_rejected: bool,
}

/// The services, with a log line and limits around each call.
#[derive(Clone)]
pub struct CallLog<S> {
    inner: S,
    limits: Limits,
    account: Arc<Account>,
    entrance: Entrance,
    metrics: Arc<CallMetrics>,
    traces: Traces,
    peer: Option<Arc<Peer>>,
    /// Set on a connection beyond the limit, which may check health alone.
    full: Option<Full>,
}

impl<S> CallLog<S> {
    /// Wraps `inner`. Messages reserve memory from `account`, within the limits of `config`; callers come in by
    /// `entrance`, are counted in `metrics` and told to `traces`.
    pub fn new(
        inner: S,
        config: &Config,
        account: Arc<Account>,
        entrance: Entrance,
        metrics: Arc<CallMetrics>,
        traces: Traces,
    ) -> Self {
        Self {
            inner,
            limits: Limits::new(config),
            account,
            entrance,
            metrics,
            traces,
            peer: None,
            full: None,
        }
    }

    /// The method at `path`, the path if there is none, and how its messages travel.
    fn look_up(&self, path: &str) -> (MethodIndex, Option<String>, Kind) {
        let method = self.metrics.find(path);
        if method.is_other() {
            (method, Some(bounded(path)), Kind::of(path))
        } else {
            (method, None, self.metrics.method(method).kind)
        }
    }

    /// A copy for the calls of one connection. Where it is beyond the limit, every call but a health check is refused.
    pub fn for_peer(self, peer: Arc<Peer>, full: Option<Full>) -> Self {
        peer.count_in(&self.metrics.connections);
        Self {
            account: Arc::clone(&peer.account),
            peer: Some(peer),
            full,
            ..self
        }
    }

    /// How a request of this method and version arrives.
    fn arrival(&self, kind: Kind, version: Version) -> Arrival {
        Arrival {
            may_have_trailers: version < Version::HTTP_2,
            ..self.limits.arrival(kind)
        }
    }

    /// The caller of a request that was admitted, or refused, with this login and memory.
    fn caller<B>(
        &self,
        request: &Request<B>,
        login: Option<Arc<Login>>,
        memory: Reservation,
    ) -> Arc<Caller> {
        let peer = self.peer.as_ref();
        let caller = Caller::new(
            next_call(),
            peer.map_or(Parties::SERVER, |peer| peer.source.parties),
            deadline_of(request),
            (Arc::clone(&self.account), memory),
            peer.map(|peer| Arc::clone(&peer.creation_turns)),
        );
        Arc::new(caller.logged_in(login))
    }

    /// Why a call at `path` is refused before anything is done for it.
    fn refusal(&self, path: &str) -> Option<Status> {
        let full = self.full?;
        let is_check = path.strip_prefix(HEALTH) == Some("Check");
        let what = "too many connections are open and busy";
        (!is_check).then(|| Refused::queue_full(full.setting, full.limit, what).into())
    }

    /// Finds out who calls, and reserves the memory that every call takes.
    fn admit<B>(
        &self,
        kind: Kind,
        request: &Request<B>,
    ) -> Result<(Option<Arc<Login>>, Reservation), Refusal> {
        let path = request.uri().path();
        let (status, is_rejected) = match self.refusal(path) {
            Some(status) => (status, false),
            None => {
                let peer = self.peer.as_deref();
                match self.entrance.log_in(path, request.headers(), peer) {
                    Ok(login) => match kind.hold(&self.account) {
                        Ok(memory) => return Ok((login, memory)),
                        Err(error) => (error.into(), false),
                    },
                    Err(status) => (status, true),
                }
            }
        };
        Err(Refusal {
            status: Box::new(status),
            is_rejected,
        })
    }
}

impl<S, B> Service<Request<B>> for CallLog<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (account, peer) = (Arc::clone(&self.account), self.peer.clone());
        let path = request.uri().path();
        let (method, unknown, kind) = self.look_up(path);
        let busy = peer.as_ref().filter(|_| kind.keeps_busy());
        let active = busy.map(Peer::call_begins);
        let (login, memory, refused) = match self.admit(kind, &request) {
            Ok((login, memory)) => (login, memory, None),
            Err(refused) => (None, Reservation::default(), Some(refused)),
        };
        let is_rejected = refused.as_ref().is_some_and(|refused| refused.is_rejected);
        let caller = self.caller(&request, login, memory);
        let call = Call {
            caller: Arc::clone(&caller),
            metrics: Arc::clone(&self.metrics),
            traces: self.traces.clone(),
            method,
            unknown,
            trace: TraceParent::of(request.headers()),
            peer: peer.clone(),
            is_rejected,
            started: Instant::now(),
        };
        let arrival = self.arrival(kind, request.version());
        let mut request = request.map(|body| RequestBody::new(body, Arc::clone(&caller), arrival));
        request.extensions_mut().insert(caller);
        // Call the instance that was polled ready.
        let inner = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, inner);
        let max_request_bytes = self.limits.request_bytes;
        Box::pin(async move {
            let mut unanswered = AbandonGuard(Some(call));
            let answered = match refused {
                Some(refused) => Ok(Ok(refused.status.into_http())),
                None => {
                    let answer = AssertUnwindSafe(async { inner.call(request).await });
                    answer.catch_unwind().await
                }
            };
            let mut response = match answered {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                // The panic hook has logged the cause.
                Err(_) => internal().into_http(),
            };
            let Some(call) = unanswered.0.take() else {
                return Ok(response.map(|_| ReplyBody::default()));
            };
            let id = call.caller.id;
            let refused = Status::from_header_map(response.headers()).map(|status| {
                let better =
                    with_request(&status, id).or_else(|| explain(&status, max_request_bytes));
                call.metrics
                    .note_refusal(better.as_ref().unwrap_or(&status));
                match better {
                    Some(better) => {
                        let code = better.code();
                        response = better.into_http();
                        code
                    }
                    None => status.code(),
                }
            });
            let mut id = HeaderValue::from(id);
            // Marked as sensitive because it never repeats: HPACK would otherwise fill the connection's header table
            // with it.
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
                    call.audit(Outcome::Started);
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
        })
    }
}

/// Logs a call that its client abandoned before the reply.
struct AbandonGuard(Option<Call>);

impl Drop for AbandonGuard {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.ended(Code::Cancelled);
        }
    }
}

/// A reply stream that logs its own end.
struct LoggedBody {
    inner: Body,
    call: Option<Call>,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
            && let Some(call) = self.call.take()
        {
            let status = Status::from_header_map(trailers);
            if let Some(better) = status
                .as_ref()
                .and_then(|status| with_request(status, call.caller.id))
            {
                better.add_header(trailers)?;
            }
            let code = status.map_or(Code::Ok, |status| {
                if status.code() != Code::Ok {
                    call.metrics.note_refusal(&status);
                }
                status.code()
            });
            call.ended(code);
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
