//! Messages as the bytes that they are: a server that answers every call with one ready reply, and the client to match.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use backpropd_client::RawCodec;
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

pub const GRADIENTS: &str = "/backprop.v1.TrainingService/Gradients";

#[derive(serde::Deserialize)]
pub struct Noop {
    /// A file that holds the reply, without its gRPC frame.
    reply: PathBuf,
}

impl Noop {
    /// tonic with the defaults: what a service costs here before it does anything.
    pub async fn serve(self) -> Value {
        let reply = Answer(std::fs::read(self.reply).unwrap().into());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("noop listening on {}", listener.local_addr().unwrap());
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let served = Server::builder()
            .add_service(reply)
            .serve_with_incoming(incoming);
        served.await.unwrap();
        Value::Null
    }
}

/// One unary call with these bytes.
pub async fn call(channel: &Channel, path: &'static str, body: Bytes) -> Result<Bytes, Status> {
    let mut client = Client::new(channel.clone());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(path);
    let reply = client.unary(Request::new(body), path, RawCodec).await?;
    Ok(reply.into_inner())
}

#[derive(Clone)]
struct Answer(Bytes);

impl NamedService for Answer {
    const NAME: &'static str = "backprop.v1.TrainingService";
}

impl tower::Service<http::Request<Body>> for Answer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.clone();
        Box::pin(async move { Ok(Grpc::new(RawCodec).unary(answer, request).await) })
    }
}

impl UnaryService<Bytes> for Answer {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}
