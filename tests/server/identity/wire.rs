//! A call of any method, written as JSON, over a connection of its own.

use std::net::SocketAddr;

use backpropd::rpc::pb::FILE_DESCRIPTOR_SET;
use bytes::{Buf as _, BufMut as _};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::PATIENCE;

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

/// A codec that leaves messages as bytes.
#[derive(Clone, Copy, Default)]
struct Wire;

impl Codec for Wire {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Wire {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Wire {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
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
    let mut request = Request::new(tokio_stream::iter(messages));
    if let Some(authorization) = authorization {
        let value = authorization.parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
    }
    let path_and_query: PathAndQuery = path.parse().expect("a path");
    let replied = async {
        let reply = client.streaming(request, path_and_query, Wire).await?;
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
