//! Connections of HTTP/1.1: the deadlines, limits and paces of HTTP/2 hold for them too.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{PATIENCE, Server, create_homework, hurried};
use crate::http2::until_closed;

const GET: &[u8] = b"GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.expect("accepted")
}

/// Reads until the heads of `count` replies have come, or the end.
async fn replies(stream: &mut TcpStream, count: usize) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let read = async {
        while text.matches("HTTP/1.1 ").count() < count || !text.contains("\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("replies");
    text
}

/// Sends `request` and reads to the end of the connection.
async fn last_words(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server).await;
    // The server may close before all of it has gone out.
    let _ = stream.write_all(request).await;
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    // A reset after the reply counts as the end.
    let _ = read.expect("the connection ends");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let server = Server::start().await;
    let mut stream = connect(&server).await;
    for _ in 0..3 {
        stream.write_all(GET).await.expect("it is taken");
        let reply = replies(&mut stream, 1).await;
        assert!(reply.starts_with("HTTP/1.1 "), "{reply}");
        // The rest of the reply's body, if it has one, comes with its head.
    }
    let pipelined = GET.repeat(50);
    stream.write_all(&pipelined).await.expect("it is taken");
    let text = replies(&mut stream, 50).await;
    assert_eq!(text.matches("HTTP/1.1 ").count(), 50, "{text}");
}

#[tokio::test]
async fn headers_that_do_not_arrive_in_time_close_the_connection() {
    let server = Server::with(|config| config.handshake_seconds = 1).await;
    let mut other = server.training().await;
    for start in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx-",
        b"PRI *",
    ] {
        let mut stream = connect(&server).await;
        stream.write_all(start).await.expect("it is taken");
        hurried(until_closed(&mut stream)).await;
    }
    // One byte at a time is no progress either.
    let mut stream = connect(&server).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nx-slow: ")
        .await
        .expect("it is taken");
    let drip = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let dripped = tokio::time::timeout(PATIENCE, hurried(drip)).await;
    dripped.expect("it is cut off");
    create_homework(&mut other).await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_after_a_while() {
    let server = Server::with(|config| config.idle_seconds = 1).await;
    let mut stream = connect(&server).await;
    stream.write_all(GET).await.expect("it is taken");
    replies(&mut stream, 1).await;
    hurried(until_closed(&mut stream)).await;
}

#[tokio::test]
async fn too_long_headers_are_refused() {
    let server = Server::with(|config| config.max_header_bytes = 8 << 10).await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    let reply = last_words(&server, long.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    let many = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        "a: b\r\n".repeat(200)
    );
    let reply = last_words(&server, many.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
}

/// What a proxy and the server could read differently: the second request must never be answered as one of its own.
#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_ends_its_connection() {
    let server = Server::start().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let forms = [
        // Both lengths.
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        // Two lengths, or none that is a number.
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\ncontent-length: 9\r\n\r\n{smuggled}"
        ),
        format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: +0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0x0\r\n\r\n{smuggled}"),
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 18446744073709551616\r\n\r\n{smuggled}"
        ),
        // Encodings that are not chunked.
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n{smuggled}"
        ),
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked, identity\r\n\r\n{smuggled}"
        ),
        format!("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}"),
        // A name with a space, a folded line, a zero byte.
        format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length : 0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nhost: local\0host\r\n\r\n{smuggled}"),
        // Chunks without a size that is one.
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n{smuggled}"
        ),
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{smuggled}"
        ),
    ];
    for form in forms {
        let text = last_words(&server, form.as_bytes()).await;
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{form:?}: {text}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_protocol_end_their_connection_alone() {
    let server = Server::start().await;
    let mut other = server.training().await;
    let mut hello = vec![22, 3, 1, 2, 0];
    hello.extend([1; 600]);
    for bytes in [
        &hello[..],
        b"\0\0\0\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\r\n\r\nx\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let text = last_words(&server, bytes).await;
        assert!(!text.starts_with("HTTP/1.1 2"), "{bytes:?}: {text}");
    }
    create_homework(&mut other).await;
}

#[tokio::test]
async fn a_shutdown_closes_connections_that_wait_for_a_request() {
    let server = Server::start().await;
    let mut silent = connect(&server).await;
    let mut spoken = connect(&server).await;
    spoken.write_all(GET).await.expect("it is taken");
    replies(&mut spoken, 1).await;
    let stopped = server.shut_down();
    until_closed(&mut silent).await;
    until_closed(&mut spoken).await;
    stopped.await.expect("it returns").expect("it stops well");
}
