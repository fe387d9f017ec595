//! A call of any method, written as JSON, in every protocol that the port speaks, over a connection of its own.

use std::net::SocketAddr;

use backpropd::rpc::pb::FILE_DESCRIPTOR_SET;
use backpropd_client::RawCodec;
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{HeaderMap, HeaderName};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::PATIENCE;

/// The protocols of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    GrpcWeb,
    Json,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Grpc, Self::GrpcWeb, Self::Json];

    /// Calls `SERVICE/METHOD` with an `authorization` of any form.
    pub async fn call(
        self,
        address: SocketAddr,
        method: &str,
        messages: &[Value],
        authorization: Option<&str>,
    ) -> Outcome {
        match self {
            Self::Grpc => call_on(channel(address).await, method, messages, authorization).await,
            Self::GrpcWeb => {
                let framed = encoded(method, messages).into_iter().flat_map(framed);
                let content_type = "application/grpc-web+proto";
                let body = framed.collect();
                let reply = posted(address, method, (content_type, body), authorization).await;
                reply.of_grpc_web()
            }
            Self::Json => {
                // What is not valid here would not be valid as messages.
                encoded(method, messages);
                let lines = messages.iter().map(|message| format!("{message}\n"));
                let body = lines.collect::<String>().into_bytes();
                let content = ("application/json", body);
                let reply = posted(address, method, content, authorization).await;
                reply.of_json()
            }
        }
    }
}

/// A message with its header.
fn framed(message: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("small");
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// A reply over HTTP/1.1.
struct Reply {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends a request over HTTP/1.1, and reads its reply to the end; that of WatchModel, which has none, to its first bytes.
async fn posted(
    address: SocketAddr,
    method: &str,
    (content_type, body): (&str, Vec<u8>),
    authorization: Option<&str>,
) -> Reply {
    let mut request = format!(
        "POST /backprop.v1.{method} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\n",
        body.len()
    );
    if let Some(authorization) = authorization {
        request += &format!("authorization: {authorization}\r\n");
    }
    let request = [request.as_bytes(), b"\r\n", &body].concat();
    let work = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // A refusal may come before all of the body is sent.
        let _ = stream.write_all(&request).await;
        let mut received = Vec::new();
        let mut piece = vec![0; 16 << 10];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => received.extend_from_slice(&piece[..count]),
            }
            let head = received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let has_body = head.is_some_and(|at| received.len() > at + 4);
            if method.ends_with("/WatchModel") && has_body {
                break;
            }
        }
        received
    };
    let received = tokio::time::timeout(PATIENCE, work)
        .await
        .expect("an answer");
    let at = received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let at = at.unwrap_or_else(|| panic!("no reply: {:?}", String::from_utf8_lossy(&received)));
    let head = String::from_utf8_lossy(&received[..at]).into_owned();
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(':').expect("a header");
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, value.trim().parse().expect("a value"));
    }
    let body = &received[at + 4..];
    let is_chunked = headers.get("transfer-encoding").is_some();
    let body = if is_chunked {
        unchunked(body)
    } else {
        body.to_vec()
    };
    Reply { headers, body }
}

/// The content of chunks, up to the last whole one.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(at) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = String::from_utf8_lossy(&body[..at]);
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        let Some(chunk) = body.get(at + 2..at + 2 + size).filter(|_| size > 0) else {
            break;
        };
        content.extend_from_slice(chunk);
        body = body.get(at + 4 + size..).unwrap_or_default();
    }
    content
}

impl Reply {
    fn of_grpc_web(&self) -> Outcome {
        let status = Status::from_header_map(&self.headers).or_else(|| {
            let mut rest = &self.body[..];
            while let Some((header, after)) = rest.split_at_checked(5) {
                let length: [u8; 4] = header[1..].try_into().expect("four");
                let (frame, after) = after.split_at_checked(u32::from_be_bytes(length) as usize)?;
                if header[0] & 0x80 != 0 {
                    let mut trailers = HeaderMap::new();
                    for line in String::from_utf8_lossy(frame).lines() {
                        let (name, value) = line.split_once(':').expect("a trailer");
                        let name: HeaderName = name.trim().parse().expect("a name");
                        trailers.append(name, value.trim().parse().expect("a value"));
                    }
                    return Status::from_header_map(&trailers);
                }
                rest = after;
            }
            None
        });
        match status {
            Some(status) if status.code() != Code::Ok => Outcome::of(&status),
            Some(_) | None => Outcome::ok(),
        }
    }

    fn of_json(&self) -> Outcome {
        let text = String::from_utf8_lossy(&self.body);
        let last = text.lines().next_back().unwrap_or("{}");
        let last: Value = serde_json::from_str(last).unwrap_or_default();
        let error = match (last.get("error"), last.get("code")) {
            (Some(error), _) => error,
            (None, Some(_)) => &last,
            (None, None) => return Outcome::ok(),
        };
        let details = error["details"].as_array().expect("details");
        let detail = |name: &str| {
            let found = details.iter().find(|detail| detail["type"] == name);
            found
                .map(|detail| detail["debug"].clone())
                .unwrap_or_default()
        };
        let info = detail("google.rpc.ErrorInfo");
        Outcome {
            code: code(error["code"].as_str().expect("a code")),
            reason: info["reason"].as_str().unwrap_or_default().to_owned(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            details: format!("{info} {}", detail("google.rpc.ResourceInfo")),
        }
    }
}

/// The code of this spelling.
fn code(spelled: &str) -> Code {
    let found = (1..17).map(Code::from).find(|code| {
        let name = format!("{code:?}").to_lowercase();
        name == spelled.replace('_', "")
    });
    found.unwrap_or_else(|| panic!("a code is called {spelled}"))
}

/// How a call ended, without the number that makes each status its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: Code,
    pub reason: String,
    pub message: String,
    pub details: String,
}

impl Outcome {
    pub fn ok() -> Self {
        Self {
            code: Code::Ok,
            reason: String::new(),
            message: String::new(),
            details: String::new(),
        }
    }

    pub fn is_denied(&self) -> bool {
        matches!(self.code, Code::PermissionDenied | Code::Unauthenticated)
    }

    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            // The number of the request is in it, and in no other detail.
            details: format!("{info:?} {:?}", details.resource_info()),
        }
    }
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("compiled protos")
}

/// The messages of a request to `SERVICE/METHOD`, as bytes.
pub fn encoded(method: &str, messages: &[Value]) -> Vec<Vec<u8>> {
    let (service, name) = method.split_once('/').expect("SERVICE/METHOD");
    let service = pool().get_service_by_name(&format!("backprop.v1.{service}"));
    let service = service.expect("a service");
    let found = service.methods().find(|method| method.name() == name);
    let input = found.expect("a method").input();
    let messages = messages.iter().map(|message| {
        DynamicMessage::deserialize(input.clone(), message)
            .unwrap_or_else(|error| panic!("{method} {message}: {error}"))
            .encode_to_vec()
    });
    messages.collect()
}

pub async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URI");
    endpoint.connect().await.expect("the server listens")
}

/// Calls `SERVICE/METHOD` with a token.
pub async fn call(
    address: SocketAddr,
    method: &str,
    messages: &[Value],
    token: Option<&str>,
) -> Outcome {
    let header = token.map(|token| format!("Bearer {token}"));
    call_on(channel(address).await, method, messages, header.as_deref()).await
}

/// [`call`] on this connection, with an `authorization` of any form.
pub async fn call_on(
    channel: Channel,
    method: &str,
    messages: &[Value],
    authorization: Option<&str>,
) -> Outcome {
    let path = format!("/backprop.v1.{method}");
    send(channel, &path, encoded(method, messages), authorization).await
}

/// Calls the method at `path` with these messages, and reads its reply to the end, but for WatchModel, which has none.
pub async fn send(
    channel: Channel,
    path: &str,
    messages: Vec<Vec<u8>>,
    authorization: Option<&str>,
) -> Outcome {
    let mut client = Grpc::new(channel);
    client.ready().await.expect("a connection");
    let messages = messages.into_iter().map(Bytes::from);
    let mut request = Request::new(tokio_stream::iter(messages));
    if let Some(authorization) = authorization {
        let value = authorization.parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
    }
    let path_and_query: PathAndQuery = path.parse().expect("a path");
    let replied = async {
        let reply = client.streaming(request, path_and_query, RawCodec).await?;
        let mut reply = reply.into_inner();
        while reply.message().await?.is_some() {
            if path.ends_with("/WatchModel") {
                break;
            }
        }
        Ok::<_, Status>(())
    };
    let replied = tokio::time::timeout(PATIENCE, replied).await;
    match replied.expect("it is answered") {
        Ok(()) => Outcome::ok(),
        Err(status) => Outcome::of(&status),
    }
}
