//! The output of `grpcurl -plaintext -d REQUEST ADDRESS METHOD`, from the same descriptors.

pub use backpropd::rpc::pb::FILE_DESCRIPTOR_SET;
use backpropd_client::RawCodec;
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

/// # Errors
/// An unknown method, an invalid request, no connection. An error of the server is output, as with grpcurl.
pub fn call(address: &str, method: &str, request: &str) -> Result<String, String> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| error.to_string())?;
    let (service, name) = method.split_once('/').ok_or("SERVICE/METHOD")?;
    let service = pool.get_service_by_name(service).ok_or("no such service")?;
    let method = service.methods().find(|method| method.name() == name);
    let method = method.ok_or("no such method")?;
    let mut json = serde_json::Deserializer::from_str(request);
    let message = DynamicMessage::deserialize(method.input(), &mut json)
        .and_then(|message| json.end().map(|()| message))
        .map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    match runtime.block_on(replies(address, &method, message.encode_to_vec())) {
        Ok(replies) => printed(&method, &replies),
        Err(status) => Ok(format!(
            "ERROR:\n  Code: {:?}\n  Message: {}\n  Details:\n",
            status.code(),
            status.message()
        )),
    }
}

async fn replies(
    address: &str,
    method: &MethodDescriptor,
    request: Vec<u8>,
) -> Result<Vec<Bytes>, Status> {
    let unavailable = |error: &dyn std::error::Error| Status::unavailable(error.to_string());
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.map_err(|error| unavailable(&error))?;
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| unavailable(&error))?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| unavailable(&error))?;
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = path.parse().expect("a path");
    let reply = client
        .server_streaming(Request::new(request.into()), path, RawCodec)
        .await?;
    let mut stream = reply.into_inner();
    let mut replies = Vec::new();
    while let Some(reply) = stream.message().await? {
        replies.push(reply);
    }
    Ok(replies)
}

fn printed(method: &MethodDescriptor, replies: &[Bytes]) -> Result<String, String> {
    let decode = |bytes: &[u8]| {
        DynamicMessage::decode(method.output(), bytes).map_err(|error| error.to_string())
    };
    let is_progress = |message: &DynamicMessage| {
        let field = method.output().get_field_by_name("progress");
        field.is_some_and(|field| message.has_field(&field))
    };
    let mut messages: Vec<DynamicMessage> = Vec::new();
    for reply in replies {
        let message = decode(reply)?;
        match messages.last_mut() {
            // The number of steps per message depends on timing. Concatenated messages parse as one.
            Some(last) if is_progress(last) && is_progress(&message) => {
                *last = decode(&[&last.encode_to_vec()[..], reply].concat())?;
            }
            _ => messages.push(message),
        }
    }
    let json = |message: &DynamicMessage| {
        let mut json = serde_json::Serializer::new(Vec::new());
        message
            .serialize_with_options(&mut json, &SerializeOptions::new())
            .map_err(|error| error.to_string())?;
        String::from_utf8(json.into_inner()).map_err(|error| error.to_string())
    };
    let messages: Result<Vec<String>, String> = messages.iter().map(json).collect();
    Ok(messages?.join("\n"))
}
