//! The HTTP client of the stores: hyper and rustls, which the server has anyway. That of `object_store` would bring a
//! second client and a second library of cryptography, 6.6 MB in all.
//!
//! HTTP/1.1, with connections that are kept. Certificates are checked against those that the system trusts, so that a
//! laboratory's own authority can be trusted too (`SSL_CERT_FILE`); a system without any gets those of Mozilla.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientConfigKey;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::{Sleep, sleep, timeout};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an unused connection is kept. Stores close theirs after some more seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// A body of this size gets a second more.
const BYTES_A_SECOND: u64 = 1 << 20;

type Https = HttpsConnector<TcpConnector>;

/// Makes the HTTP clients of the crate `object_store`; all have one pool of connections.
#[derive(Clone, Debug)]
pub struct Connector {
    client: Client<Https, HttpRequestBody>,
    timeout: Duration,
}

impl Connector {
    /// Reads the certificates that the system trusts; without any, those that Mozilla trusts are compiled in. `timeout` is
    /// for one request.
    pub fn new(timeout: Duration) -> Self {
        let provider = rustls::crypto::ring::default_provider();
        let roots = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("ring has TLS 1.2 and 1.3");
        let tls = match roots.clone().with_native_roots() {
            Ok(roots) => roots.with_no_client_auth(),
            // An image from scratch has none.
            Err(_) => roots.with_webpki_roots().with_no_client_auth(),
        };
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(IDLE_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(https);
        Self { client, timeout }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let is_http_allowed = options
            .get_config_value(&ClientConfigKey::AllowHttp)
            .is_some_and(|value| value == "true");
        Ok(HttpClient::new(Service {
            connector: self.clone(),
            is_http_allowed,
        }))
    }
}

#[derive(Debug)]
struct Service {
    connector: Connector,
    is_http_allowed: bool,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.uri().scheme_str() != Some("https") && !self.is_http_allowed {
            let text = "the address of the store is http, which sends data and some credentials unencrypted; \
                        AWS_ALLOW_HTTP=true or AZURE_ALLOW_HTTP=true allows it";
            return Err(HttpError::new(
                HttpErrorKind::Unknown,
                io::Error::other(text),
            ));
        }
        let bytes = request.body().content_length() as u64;
        let limit = self.connector.timeout + Duration::from_secs(bytes / BYTES_A_SECOND);
        let response = timeout(limit, self.connector.client.request(request))
            .await
            .map_err(|_| no_answer(limit))?
            .map_err(client_error)?;
        let limit = self.connector.timeout;
        Ok(response.map(|body| {
            HttpResponseBody::new(TimedBody {
                body,
                limit,
                sleep: Box::pin(sleep(limit)),
            })
        }))
    }
}

fn no_answer(limit: Duration) -> HttpError {
    let text = format!("no answer within {} s", limit.as_secs_f32());
    HttpError::new(
        HttpErrorKind::Timeout,
        io::Error::new(io::ErrorKind::TimedOut, text),
    )
}

fn client_error(error: ClientError) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, io::Error::other(causes(&error)))
}

/// An error with its causes: the client's own says only which step failed.
fn causes(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}

/// The body of a reply, each piece of which must arrive in time.
struct TimedBody {
    body: Incoming,
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            let next = tokio::time::Instant::now() + this.limit;
            this.sleep.as_mut().reset(next);
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))
            }));
        }
        ready!(this.sleep.as_mut().poll(context));
        Poll::Ready(Some(Err(no_answer(this.limit))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
