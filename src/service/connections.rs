//! Connections: accepted up to a number, dropped when they say nothing, drained within a time. HTTP/2 is served by
//! hyper itself rather than by tonic's server, whose timeouts answer CANCELLED, whose limits are per connection and
//! whose shutdown waits for silent peers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
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

use crate::config::Config;

/// Upload windows, so that a batch of some megabytes travels without waiting for permission.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Streams that a peer may have reset before it is cut off.
const MAX_RESET_STREAMS: usize = 1024;

/// A peer that answers no ping for this long is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait when the system has no file descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `shutdown`, then drains them, and returns at the latest `drain_seconds` later.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    config: &Config,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(config.max_connections));
    let builder = builder(config);
    let handshake = Duration::from_secs(config.handshake_seconds);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
            // Collects those that have ended, so that the set does not grow.
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, place)) => {
                let connection = Connection {
                    builder: builder.clone(),
                    service: service.clone(),
                    shutdown: shutdown.clone(),
                    handshake,
                    _place: place,
                };
                connections.spawn(connection.serve(stream));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let limit = Duration::from_secs(config.drain_seconds);
    if tokio::time::timeout(limit, drained).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut off what did not end in time"
        );
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

fn builder(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(config.max_streams_per_connection)
        .max_header_list_size(config.max_header_bytes)
        .max_local_error_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

struct Connection<S> {
    builder: http2::Builder<TokioExecutor>,
    service: S,
    shutdown: CancellationToken,
    handshake: Duration,
    _place: OwnedSemaphorePermit,
}

impl<S> Connection<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    async fn serve(self, stream: TcpStream) {
        // A peer that connects and says nothing keeps a place from others.
        let mut first = [0];
        let spoke = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return,
            spoke = tokio::time::timeout(self.handshake, stream.peek(&mut first)) => spoke,
        };
        if !matches!(spoke, Ok(Ok(1))) {
            return;
        }
        let service = TowerToHyperService::new(self.service);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}
