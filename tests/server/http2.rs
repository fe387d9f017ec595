//! HTTP/2 frame by frame, to say what no well-behaved client says.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{PATIENCE, Server};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header list of a gRPC call, without compression.
pub fn call(path: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = vec![u8::try_from(text.len()).expect("short")];
        bytes.extend(text.as_bytes());
        bytes
    };
    // POST and http by their numbers in the static table, then literals.
    let mut block = vec![0x83, 0x86, 0x04];
    block.extend(text(path));
    block.push(0x01);
    block.extend(text("localhost"));
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        block.push(0x00);
        block.extend(text(name));
        block.extend(text(value));
    }
    block
}

/// The start of a gRPC message of `length` bytes.
pub fn message_header(length: u32) -> Vec<u8> {
    let mut header = vec![0];
    header.extend(length.to_be_bytes());
    header
}

/// A connection that has said the preface and these settings.
pub async fn connect(server: &Server, settings: &[(u16, u32)]) -> TcpStream {
    let stream = TcpStream::connect(server.address).await;
    let mut stream = stream.expect("the server listens");
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    hello.extend(frame(SETTINGS, 0, 0, &payload));
    stream.write_all(&hello).await.expect("it is taken");
    stream
}

/// Everything that the server says until it closes the connection, which it does.
pub async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    // A reset is an end, too.
    let _ = closed.expect("the server closes the connection");
    said
}

/// Writes `frames` again and again, reading what comes back, until the server closes the connection.
pub async fn flood(stream: TcpStream, frames: impl FnMut() -> Vec<u8>) {
    flood_and(stream, frames, true).await;
}

/// The same, where `reads` says whether what comes back is read.
pub async fn flood_and(stream: TcpStream, mut frames: impl FnMut() -> Vec<u8>, reads: bool) {
    let (mut from, mut to) = stream.into_split();
    let writes = async {
        let error: io::Error = loop {
            if let Err(error) = to.write_all(&frames()).await {
                break error;
            }
        };
        error
    };
    let read = async {
        if reads {
            let _ = from.read_to_end(&mut Vec::new()).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let flooded = async {
        tokio::select! {
            _ = writes => {}
            () = read => {}
        }
    };
    let flooded = tokio::time::timeout(PATIENCE, flooded).await;
    flooded.expect("the server cuts the flood off");
}
