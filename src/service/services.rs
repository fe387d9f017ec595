//! Which service answers a call.

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

use super::Server;
use super::pb::training_service_server::{SERVICE_NAME, TrainingServiceServer};
use super::training::Training;

/// All of them. TrainingService, whose calls are many and small, is looked for first and called without the router's
/// boxes around it, which cost a call as much as the forward and the backward pass of a small network.
#[derive(Clone)]
pub struct Services {
    training: TrainingServiceServer<Training>,
    others: Routes,
}

impl Services {
    /// TrainingService on `server`, beside `others`.
    pub fn new(server: &Arc<Server>, others: Routes) -> Self {
        let training = TrainingServiceServer::new(Training(Arc::clone(server)));
        Self {
            training: training
                .max_decoding_message_size(server.config.max_request_bytes)
                .max_encoding_message_size(usize::MAX),
            others: others.prepare(),
        }
    }
}

impl<B> Service<Request<B>> for Services
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future =
        Either<BoxFuture<Response<Body>, Infallible>, <Routes as Service<Request<B>>>::Future>;

    /// A service is always ready; what it takes on it refuses by its own measures.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path().strip_prefix('/');
        let method = path.and_then(|path| path.strip_prefix(SERVICE_NAME));
        if method.is_some_and(|method| method.starts_with('/')) {
            Either::Left(self.training.call(request))
        } else {
            Either::Right(self.others.call(request))
        }
    }
}
