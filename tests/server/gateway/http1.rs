//! The same over HTTP/1.1, byte by byte.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{homework, training};
use crate::fixture::Server;

/// Sends `text`, with the server's address for `HOST`, and reads until the server closes.
async fn talk(server: &Server, text: &str) -> String {
    let text = text.replace("HOST", &server.address.to_string());
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    stream.write_all(text.as_bytes()).await.expect("it reads");
    let mut reply = Vec::new();
    // A server that closes while there is more to read may reset.
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).into_owned()
}

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or_default()
}

const JSON: &str = "content-type: application/json\r\nconnection: close\r\n";

#[tokio::test]
async fn plain_chunked_and_expected_bodies_are_read() {
    let server = Server::start().await;
    let info = "POST /backprop.v1.ServerService/GetServerInfo HTTP/1.1\r\nhost: HOST\r\n";
    let plain = talk(
        &server,
        &format!("{info}{JSON}content-length: 2\r\n\r\n{{}}"),
    )
    .await;
    assert_eq!(status(&plain), "200", "{plain}");
    assert!(
        plain.contains("content-type: application/json\r\n"),
        "{plain}"
    );
    let body = plain.split_once("\r\n\r\n").expect("a body").1;
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert!(body["version"].is_string(), "{body}");
    let chunked = talk(
        &server,
        &format!("{info}{JSON}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n"),
    )
    .await;
    assert_eq!(status(&chunked), "200", "{chunked}");
    let trailed = talk(
        &server,
        &format!("{info}{JSON}trailer: x-check\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nx-check: 1\r\n\r\n"),
    )
    .await;
    assert_eq!(status(&trailed), "200", "{trailed}");
    let expected = talk(
        &server,
        &format!("{info}{JSON}expect: 100-continue\r\ncontent-length: 2\r\n\r\n{{}}"),
    )
    .await;
    assert!(expected.starts_with("HTTP/1.1 100 "), "{expected}");
    assert!(expected.contains("HTTP/1.1 200 "), "{expected}");
    let both = talk(
        &server,
        &format!("{info}{JSON}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"),
    )
    .await;
    assert!(matches!(status(&both), "200" | "400"), "{both}");
}

#[tokio::test]
async fn a_stream_comes_line_by_line_and_its_end_is_known() {
    let server = Server::start().await;
    homework(&server).await;
    let text = training(3).to_string();
    let request = format!(
        "POST /backprop.v1.TrainingService/TrainBatch HTTP/1.1\r\nhost: HOST\r\n{JSON}content-length: {}\r\n\r\n{text}",
        text.len()
    );
    let reply = talk(&server, &request).await;
    assert_eq!(status(&reply), "200", "{reply}");
    assert!(reply.contains("transfer-encoding: chunked\r\n"), "{reply}");
    assert!(reply.ends_with("\r\n0\r\n\r\n"), "{reply}");
    assert!(
        reply.contains("\r\n{\"started\":") && reply.contains("\"stopReason\""),
        "{reply}"
    );
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let text = training(100_000_000).to_string();
    let request = format!(
        "POST /backprop.v1.TrainingService/TrainBatch HTTP/1.1\r\nhost: localhost\r\n{JSON}content-length: {}\r\n\r\n{text}",
        text.len()
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut seen = String::new();
    while !seen.contains("{\"progress\":") {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.expect("it goes on");
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
}

#[tokio::test]
async fn the_host_of_a_request_is_one_and_ours() {
    let server = Server::start().await;
    for (head, expected) in [
        (
            "GET / HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n",
            "200",
        ),
        (
            "GET / HTTP/1.1\r\nhost: localhost.\r\nconnection: close\r\n\r\n",
            "200",
        ),
        (
            "GET / HTTP/1.1\r\nhost: [::1]:50051\r\nconnection: close\r\n\r\n",
            "200",
        ),
        (
            "GET http://HOST/ HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n",
            "200",
        ),
        (
            "GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
            "403",
        ),
        (
            "GET http://evil.example/ HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n",
            "400",
        ),
        (
            "GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
            "403",
        ),
        (
            "GET / HTTP/1.1\r\nhost: evil@localhost\r\nconnection: close\r\n\r\n",
            "400",
        ),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\nhost: localhost\r\n\r\n", "200"),
        (
            "GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "400",
        ),
        (
            "HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "200",
        ),
        (
            "GET / HTTP/1.1\r\nhost: localhost\r\norigin: null\r\nconnection: close\r\n\r\n",
            "403",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "404",
        ),
    ] {
        let reply = talk(&server, head).await;
        assert_eq!(status(&reply), expected, "{head}{reply}");
        assert!(!reply.to_lowercase().contains("access-control"), "{reply}");
        if head.starts_with("HEAD") {
            assert!(reply.ends_with("\r\n\r\n"), "{reply}");
        }
    }
}

#[tokio::test]
async fn grpc_over_http1_is_told_what_to_do_and_grpc_web_works() {
    let server = Server::start().await;
    let call = |content_type: &str| {
        format!(
            "POST /backprop.v1.ServerService/GetServerInfo HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\
             content-type: {content_type}\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0"
        )
    };
    let native = talk(&server, &call("application/grpc")).await;
    assert_eq!(status(&native), "505", "{native}");
    assert!(native.contains("HTTP/2"), "{native}");
    let web = talk(&server, &call("application/grpc-web+proto")).await;
    assert_eq!(status(&web), "200", "{web}");
    assert!(web.contains("grpc-status: 0\r\n"), "{web}");
}
