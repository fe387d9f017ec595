//! Checks the caller's role, routes the call to its service and attaches its caller.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, StdError};
use tonic::service::Routes;
use tower::Service;

use super::call::{InCall, scope};
use super::handlers::training::Training;
use super::names::note_names;
use super::roles;
use super::services::training_service_server::{SERVICE_NAME, TrainingServiceServer};
use crate::host::Host;
use crate::host::caller::Caller;

/// The future of the router for the other services.
type OfRoutes<B> = <Routes as Service<Request<B>>>::Future;

/// The future of TrainingService.
type OfTraining = BoxFuture<Response<Body>, Infallible>;

/// The answer to a caller whose role may not call the method.
type Refusal = BoxFuture<Response<Body>, Infallible>;

/// All services. TrainingService, whose calls are many and small, is matched first and called without the boxes of
/// tonic's router, which cost a call as much as the forward and the backward pass of a small network.
#[derive(Clone)]
pub struct Router {
    training: TrainingServiceServer<Training>,
    others: Routes,
}

impl Router {
    /// TrainingService on `host`, next to `others`.
    pub fn new(host: &Arc<Host>, others: Routes) -> Self {
        let training = TrainingServiceServer::new(Training(Arc::clone(host)));
        Self {
            training: training
                .max_decoding_message_size(host.config.max_request_bytes)
                .max_encoding_message_size(usize::MAX),
            others: others.prepare(),
        }
    }
}

impl<B> Service<Request<B>> for Router
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Refusal, Either<InCall<OfTraining>, InCall<OfRoutes<B>>>>;

    /// Always ready: the host limits its own load and refuses what exceeds it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path().strip_prefix('/');
        let method = path.and_then(|path| path.strip_prefix(SERVICE_NAME));
        let is_training = method.is_some_and(|method| method.starts_with('/'));
        let caller = request.extensions().get::<Arc<Caller>>().map(Arc::clone);
        let caller = caller.expect("the transport sets the caller of every request");
        if let Err(refused) = roles::check(&caller, request.uri().path()) {
            return Either::Left(Box::pin(async move {
                note_names(&caller, request.into_body()).await;
                Ok(refused.into_http())
            }));
        }
        Either::Right(if is_training {
            Either::Left(scope(caller, self.training.call(request)))
        } else {
            Either::Right(scope(caller, self.others.call(request)))
        })
    }
}
