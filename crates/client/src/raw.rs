//! Calls by the path of a method, with messages that are bytes already.

use bytes::{Buf as _, BufMut as _, Bytes};
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Status, Streaming};

use crate::client::{Client, MAX_REPLY_BYTES};
use crate::session::with_session;

/// A codec that leaves messages as they are, for calls and services whose messages are bytes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

impl Client {
    /// Calls the method at `path`, which is `/package.Service/Method`, with encoded messages, and returns those of the
    /// reply. A method without streams takes and returns one. `session` is the id of the session that the messages are
    /// about, if any. Nothing is sent again.
    ///
    /// # Errors
    /// The server's refusal, a failure to reach it, or a path that is none.
    pub async fn call_encoded(
        &self,
        path: &str,
        session: Option<&str>,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let path = path.parse().map_err(|error| {
            Status::invalid_argument(format!("{path:?} is no path of a method: {error}"))
        })?;
        let mut grpc = Grpc::new(self.connection()).max_decoding_message_size(MAX_REPLY_BYTES);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(crate::causes(&error)))?;
        let reply = grpc
            .streaming(with_session(messages, session), path, RawCodec)
            .await?;
        Ok(reply.into_inner())
    }
}
