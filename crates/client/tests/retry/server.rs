//! A server on loopback that answers from a script, and breaks connections on demand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use backpropd_client::{Client, pb};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tower::Service;

/// The answer to one call.
pub struct Answer {
    messages: Vec<Bytes>,
    end: End,
}

enum End {
    Status(Status),
    /// The stream is reset.
    Reset,
    /// The stream ends without a status.
    Nothing,
    /// The stream stays open.
    Hang,
}

/// A refusal.
pub fn refuse(status: Status) -> Answer {
    Answer {
        messages: Vec::new(),
        end: End::Status(status),
    }
}

/// These messages, then OK.
pub fn reply<M: Message>(messages: impl IntoIterator<Item = M>) -> Answer {
    Answer {
        messages: messages
            .into_iter()
            .map(|message| framed(&message))
            .collect(),
        end: End::Status(Status::ok("")),
    }
}

impl Answer {
    /// The messages of this answer, then the refusal.
    pub fn then_refuse(self, refusal: Self) -> Self {
        let end = refusal.end;
        Self { end, ..self }
    }

    pub fn then_reset(self) -> Self {
        let end = End::Reset;
        Self { end, ..self }
    }

    pub fn then_nothing(self) -> Self {
        let end = End::Nothing;
        Self { end, ..self }
    }

    pub fn then_hang(self) -> Self {
        let end = End::Hang;
        Self { end, ..self }
    }
}

/// A message after the header of gRPC.
fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).expect("small"));
    message.encode(&mut frame).expect("the buffer grows");
    frame.freeze()
}

/// A server, and what it has received.
#[derive(Clone)]
pub struct Server {
    address: SocketAddr,
    script: Arc<Mutex<VecDeque<Answer>>>,
    received: Arc<Mutex<Vec<Bytes>>>,
    sessions: Arc<Mutex<Vec<Option<String>>>>,
    /// Counts the cuts.
    cuts: Arc<watch::Sender<u32>>,
}

impl Server {
    /// A server that gives these answers, one to each call of TrainingService.
    pub async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let (front, address) = listen().await;
        let (back, hidden) = listen().await;
        let server = Self {
            address,
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            received: Arc::default(),
            sessions: Arc::default(),
            cuts: Arc::new(watch::Sender::new(0)),
        };
        let router = tonic::transport::Server::builder().add_service(server.clone());
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(back)));
        let cuts = Arc::clone(&server.cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = front.accept().await {
                tokio::spawn(pass_on(client, hidden, cuts.subscribe()));
            }
        });
        server
    }

    pub async fn client(&self) -> Client {
        let address = self.address.to_string();
        Client::connect(&address).await.expect("it listens")
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// The header of the session of each call, in their order.
    pub fn sessions(&self) -> Vec<Option<String>> {
        self.sessions.lock().expect("no panic").clone()
    }

    /// The messages of the calls, in their order.
    pub fn received(&self) -> Vec<Bytes> {
        self.received.lock().expect("no panic").clone()
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Passes bytes on in both directions until a cut.
async fn pass_on(mut client: TcpStream, server: SocketAddr, mut cuts: watch::Receiver<u32>) {
    let mut server = TcpStream::connect(server).await.expect("it listens");
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = cuts.changed() => {}
    }
}

impl NamedService for Server {
    const NAME: &'static str = "backprop.v1.TrainingService";
}

impl Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let session = request.headers().get(backpropd_client::SESSION_HEADER);
            let session = session.map(|value| value.to_str().expect("an id").to_owned());
            server.sessions.lock().expect("no panic").push(session);
            let body = request.into_body().collect().await.expect("a request");
            server
                .received
                .lock()
                .expect("no panic")
                .push(body.to_bytes());
            let answer = server.script.lock().expect("no panic").pop_front();
            Ok(response(answer.expect("the script covers every call")))
        })
    }
}

fn response(answer: Answer) -> Response<Body> {
    let messages = answer
        .messages
        .into_iter()
        .map(|bytes| Ok(Frame::data(bytes)));
    let frames = stream::iter(messages);
    let body = match answer.end {
        End::Status(status) => {
            let trailers = Frame::trailers(trailers(&status));
            Body::new(StreamBody::new(frames.chain(stream::iter([Ok(trailers)]))))
        }
        End::Reset => {
            let reset = Err(Status::internal("reset"));
            Body::new(StreamBody::new(frames.chain(stream::iter([reset]))))
        }
        End::Nothing => Body::new(StreamBody::new(frames.map(sure))),
        End::Hang => Body::new(StreamBody::new(frames.map(sure).chain(stream::pending()))),
    };
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}

/// Names the type of an error that does not occur.
fn sure(frame: Result<Frame<Bytes>, Status>) -> Result<Frame<Bytes>, Status> {
    frame
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).expect("a valid status");
    trailers
}

/// The events of a run.
pub fn started(resumed_steps: i64) -> pb::TrainBatchResponse {
    event(pb::train_batch_response::Event::Started(pb::Started {
        step: resumed_steps,
        planned_steps: 30 - resumed_steps,
        resumed_steps,
        ..Default::default()
    }))
}

pub fn progress(step: i64) -> pb::TrainBatchResponse {
    let steps = vec![pb::StepMetrics {
        step,
        ..Default::default()
    }];
    event(pb::train_batch_response::Event::Progress(pb::Progress {
        steps,
    }))
}

pub fn completed() -> pb::TrainBatchResponse {
    event(pb::train_batch_response::Event::Completed(pb::Completed {
        step: 30,
        ..Default::default()
    }))
}

fn event(event: pb::train_batch_response::Event) -> pb::TrainBatchResponse {
    pb::TrainBatchResponse { event: Some(event) }
}
