//! The door for browsers and curl: turns an HTTP request into a call of the gRPC services in this process, and their
//! reply into what was asked for.
//!
//! | request's `content-type` | request | reply |
//! |---|---|---|
//! | `application/grpc…` over HTTP/2 | as it is | as it is |
//! | `application/json` | one JSON object; for a client stream, one object a line | one JSON object; for a server stream, one object a line |
//! | `application/proto` | one message, for methods without streams | one message |
//! | `application/connect+json`, `application/connect+proto` | messages in envelopes, for streams | messages in envelopes |
//! | `application/grpc-web…`, `application/grpc-web-text…` | messages with headers | messages with headers, trailers as the last one |
//!
//! The JSON and `connect` forms are those of the Connect protocol (<https://connectrpc.com/docs/protocol/>), but for the
//! streams of `application/json`, which curl can read and write.
//!
//! The room stands on both sides of the call log: [`Gateway`] in front of it, and [`Converting`] between it and the
//! services. The log thus reads a request's text as it comes from the connection: its memory, its pace, its deadline and
//! its log line are those of any call. Text becomes messages behind the log, so what is wrong with a text is the call's
//! own error; messages become text again in front of it, after the log has given every error its reason.
//!
//! A native gRPC request goes straight through: the price is a look at three of its headers.

mod answers;
mod errors;
mod forms;
mod hosts;
mod memory;
mod pages;
mod replies;
mod requests;
mod schema;
mod turns;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use backpropd_json::near;
use http::header::{ALLOW, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use tonic::Status;
use tower::Service;

use self::forms::{Form, Timeout};
use self::hosts::Hosts;
use self::replies::Way;
pub use self::requests::Converting;
use self::schema::SCHEMA;
use self::turns::Customer;
pub use self::turns::Turns;
use crate::config::Config;
use crate::host::deadline::Deadline;
use crate::host::limits::memory::Account;
use crate::host::party::Party;
use crate::status::{Reason, Refusal};
use crate::transport::audit;
use crate::transport::bodies::ReplyBody;
use crate::transport::call_log::{CallLog, REQUEST_ID};
use crate::transport::methods::bounded;
use crate::transport::peer::{Peer, next_call};
use crate::transport::seats::Full;
use crate::transport::timeout::deadline;

/// The future of every call: the call log's own, so that a native call passes without another box.
type Reply = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, Infallible>> + Send>>;

/// The services behind the call log, for every form of request.
#[derive(Clone)]
pub struct Gateway<S> {
    inner: S,
    hosts: Arc<Hosts>,
    /// Whether `/` is the page for browsers.
    has_web: bool,
    /// Of the URLs of this server.
    scheme: &'static str,
    turns: Turns,
    account: Arc<Account>,
    peer: Option<Arc<Peer>>,
}

impl<S> Gateway<S> {
    /// Wraps `inner`. Replies reserve memory from `account`; large ones are converted in their turn.
    pub fn new(inner: S, config: &Config, account: Arc<Account>, turns: Turns) -> Self {
        Self {
            inner,
            hosts: Arc::new(Hosts::new(config)),
            has_web: config.web,
            scheme: if config.has_tls() || config.tls_terminated {
                "https"
            } else {
                "http"
            },
            turns,
            account,
            peer: None,
        }
    }
}

impl<S> Gateway<CallLog<S>> {
    /// A copy for the calls of one connection; `full` says why they are refused.
    pub fn for_peer(self, peer: Arc<Peer>, full: Option<Full>) -> Self {
        Self {
            inner: self.inner.for_peer(Arc::clone(&peer), full),
            account: Arc::clone(&peer.account),
            peer: Some(peer),
            ..self
        }
    }
}

impl<S, B> Service<Request<B>> for Gateway<S>
where
    S: Service<Request<B>, Response = Response<ReplyBody>, Error = Infallible, Future = Reply>,
{
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Reply {
        if is_native(&request) {
            return self.inner.call(request);
        }
        let form = match self.route(&request) {
            Ok(Route::Native) => return self.inner.call(request),
            Ok(Route::Call(form)) => form,
            Err(answer) => return Box::pin(ready(Ok(*answer))),
        };
        if let Err(status) = to_grpc(&mut request, form) {
            return Box::pin(ready(Ok(errors::response(&status, form.reply))));
        }
        // Read once, for the call and for the conversion of its reply.
        let deadline = deadline(request.headers());
        request.extensions_mut().insert(deadline);
        let way = Way {
            method: form.method,
            turns: self.turns.clone(),
            customer: self.customer(deadline),
            account: Arc::clone(&self.account),
            active: self.peer.as_ref().map(Peer::call_begins),
            peer: self.peer.clone(),
        };
        let reply = self.inner.call(request);
        Box::pin(async move {
            let response = reply.await?;
            Ok(replies::convert(response, form.reply, way).await)
        })
    }
}

impl<S> Gateway<S> {
    /// For whom the reply is converted. Who it is, is known behind the call log alone: here the address counts.
    fn customer(&self, deadline: Deadline) -> Customer {
        let peer = self.peer.as_ref();
        Customer {
            origin: peer.map_or(Party::SERVER, |peer| peer.source.parties.origin),
            deadline,
        }
    }
}

/// A gRPC request that no page can have sent: see [`hosts`].
fn is_native<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.version() == Version::HTTP_2
        && headers.get(CONTENT_TYPE).is_some_and(is_grpc)
        && !headers.contains_key(ORIGIN)
}

/// Whether this is `application/grpc`, alone or with a suffix that names a codec; gRPC-Web is another protocol.
fn is_grpc(content_type: &HeaderValue) -> bool {
    let rest = content_type.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Where a request goes.
enum Route {
    /// To the services, as it is.
    Native,
    /// To the services, after a conversion.
    Call(Form),
}

impl<S> Gateway<S> {
    /// Where a request goes, or the answer to it.
    fn route<B>(&self, request: &Request<B>) -> Result<Route, Box<Response<ReplyBody>>> {
        let authority = self.hosts.check(request).map_err(|refused| {
            let answer = errors::plain(refused.code, &refused.status);
            Box::new(self.not_ours(request, &refused, answer))
        })?;
        let path = request.uri().path();
        if let Some(page) = pages::find(path, self.has_web) {
            let server = format!("{}://{authority}", self.scheme);
            return Err(Box::new(pages::answer_to(page, request, &server)));
        }
        let content_type = request.headers().get(CONTENT_TYPE);
        if content_type.is_some_and(is_grpc) {
            return if request.version() == Version::HTTP_2 {
                Ok(Route::Native)
            } else {
                Err(Box::new(not_over_http1()))
            };
        }
        let Some(method) = SCHEMA.method(path) else {
            return Err(Box::new(unknown(path)));
        };
        if request.method() != Method::POST {
            return Err(Box::new(not_posted(request.method(), path)));
        }
        let form = Form::of(method, content_type).map_err(|(code, refusal)| {
            let mut response = errors::plain(code, &refusal);
            let accepted = HeaderValue::from_static(forms::accepted(method));
            response.headers_mut().insert("accept-post", accepted);
            Box::new(response)
        })?;
        Ok(Route::Call(form))
    }
}

impl<S> Gateway<S> {
    /// Writes a request that is refused for its host or its origin into the audit, and numbers the answer.
    fn not_ours<B>(
        &self,
        request: &Request<B>,
        refused: &hosts::Refused,
        mut answer: Response<ReplyBody>,
    ) -> Response<ReplyBody> {
        if let Some(from) = &refused.foreign {
            let (id, peer) = (next_call(), self.peer.as_ref());
            let peer = peer.map(|peer| peer.source.to_string()).unwrap_or_default();
            audit::record_foreign(request.uri().path(), from, id, &peer);
            answer
                .headers_mut()
                .insert(REQUEST_ID, HeaderValue::from(id));
        }
        answer
    }
}

/// Changes the headers of a request into those of gRPC.
fn to_grpc<B>(request: &mut Request<B>, form: Form) -> Result<(), Status> {
    form.check_encoding(request.headers())?;
    let timeout = Timeout::of(request.headers())?;
    let headers: &mut HeaderMap = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.remove(http::header::CONTENT_LENGTH);
    if let Some(timeout) = timeout {
        headers.insert("grpc-timeout", timeout.into_grpc());
    }
    request.extensions_mut().insert(form);
    Ok(())
}

fn unknown(path: &str) -> Response<ReplyBody> {
    let asked = path.rsplit('/').next().unwrap_or(path);
    let names = SCHEMA.methods().iter().map(|method| &*method.name);
    let near = near(asked, names);
    let paths = SCHEMA.methods().iter();
    let paths = paths.filter(|method| near.contains(&&*method.name));
    let mut paths: Vec<&str> = paths.map(|method| &*method.path).collect();
    paths.truncate(3);
    let hint = if paths.is_empty() {
        "POST /backprop.v1.SERVICE/METHOD calls a method; GET /api lists them".to_owned()
    } else {
        format!(
            "did you mean {}? GET /api lists the methods",
            paths.join(" or ")
        )
    };
    let message = format!("there is no {} here: {hint}", bounded(path));
    let status = Refusal::new(Reason::UnknownMethod, message).status();
    errors::plain(StatusCode::NOT_FOUND, &status)
}

fn not_posted(method: &Method, path: &str) -> Response<ReplyBody> {
    let message = format!(
        "{method} calls nothing: send POST with a JSON object, as `curl --json '{{}}' http://HOST:PORT{}` does",
        bounded(path)
    );
    let status = Refusal::new(Reason::UnknownMethod, message).status();
    let mut response = errors::plain(StatusCode::METHOD_NOT_ALLOWED, &status);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn not_over_http1() -> Response<ReplyBody> {
    let message = "gRPC needs HTTP/2, and this request came over HTTP/1: connect with HTTP/2 (a proxy may have to be told: \
                   nginx has grpc_pass), or send gRPC-Web or JSON";
    let status = Refusal::new(Reason::UnknownMethod, message).status();
    errors::plain(StatusCode::HTTP_VERSION_NOT_SUPPORTED, &status)
}
