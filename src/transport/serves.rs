//! What a connection answers by.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service;

use super::bodies::ReplyBody;

/// A service that a connection can answer by.
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
