//! The service behind a connection, as a trait alias.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service;

use super::bodies::ReplyBody;

/// A service that can answer the calls of a connection.
pub trait Serves:
    Service<Request<Incoming>, Response = Response<ReplyBody>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Serves for S where
    S: Service<Request<Incoming>, Response = Response<ReplyBody>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}
