//! gRPC-Web, and the envelopes of Connect.

use backpropd::rpc::pb;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use serde_json::{Value, json};

use super::{body, homework, post, send, training};
use crate::fixture::Server;

fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("small");
    [&[flags][..], &length.to_be_bytes(), message].concat()
}

/// The envelopes of a body: flags and content.
fn envelopes(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut envelopes = Vec::new();
    while let Some((&[flags, a, b, c, d], rest)) = bytes.split_first_chunk() {
        let (content, rest) = rest.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        envelopes.push((flags, content.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    envelopes
}

fn train(steps: i32) -> Vec<u8> {
    let tensor = |shape: [i32; 2], values: &[f64]| {
        Some(pb::Tensor {
            shape: shape.into(),
            values: values.into(),
            ..Default::default()
        })
    };
    let request = pb::TrainBatchRequest {
        model: "sessions/lab/models/hw".to_owned(),
        steps,
        inputs: tensor([1, 4], &[1.0, 2.0, 3.0, 4.0]),
        targets: tensor([1, 1], &[1.0]),
        ..Default::default()
    };
    request.encode_to_vec()
}

/// The messages and the trailers of a reply in gRPC-Web.
fn of_web(bytes: &[u8]) -> (Vec<pb::TrainBatchResponse>, String) {
    let mut envelopes = envelopes(bytes);
    let (flags, trailers) = envelopes.pop().expect("trailers");
    assert_eq!(flags, 0x80);
    let messages = envelopes.iter().map(|(flags, message)| {
        assert_eq!(*flags, 0);
        pb::TrainBatchResponse::decode(&**message).expect("a message")
    });
    (
        messages.collect(),
        String::from_utf8(trailers).expect("text"),
    )
}

#[tokio::test]
async fn grpc_web_carries_streams_and_their_trailers_as_bytes_and_as_text() {
    let server = Server::start().await;
    homework(&server).await;
    let path = "/backprop.v1.TrainingService/TrainBatch";
    let request =
        post(&server, path, "application/grpc-web+proto").body(body(envelope(0, &train(3))));
    let reply = send(&server, request.expect("a request")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/grpc-web+proto");
    let (messages, trailers) = of_web(&reply.body);
    assert!(messages.len() >= 2);
    assert!(trailers.contains("grpc-status: 0\r\n"), "{trailers}");

    // In pieces that a client encoded one by one, padding in the middle.
    let request = envelope(0, &train(3));
    let text: String = request
        .chunks(7)
        .map(|piece| STANDARD.encode(piece))
        .collect();
    let request = post(&server, path, "application/grpc-web-text").body(body(text));
    let reply = send(&server, request.expect("a request")).await;
    assert_eq!(
        reply.header("content-type"),
        "application/grpc-web-text+proto"
    );
    let text = String::from_utf8(reply.body.to_vec()).expect("text");
    let mut decoded = Vec::new();
    for quad in text.as_bytes().chunks(4) {
        decoded.extend(STANDARD.decode(quad).expect("base64"));
    }
    let (messages, trailers) = of_web(&decoded);
    assert!(messages.len() >= 2);
    assert!(trailers.contains("grpc-status: 0\r\n"), "{trailers}");
}

#[tokio::test]
async fn errors_of_grpc_web_are_in_the_headers_or_the_trailers() {
    let server = Server::start().await;
    homework(&server).await;
    let path = "/backprop.v1.TrainingService/TrainBatch";
    let request = post(&server, path, "application/grpc-web").body(body(envelope(0, b"")));
    let reply = send(&server, request.expect("a request")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("grpc-status")),
        (200, "3")
    );
    assert!(reply.headers.contains_key("grpc-status-details-bin"));
    let request = post(&server, path, "application/grpc-web")
        .header("grpc-timeout", "200m")
        .body(body(envelope(0, &train(100_000_000))));
    let reply = send(&server, request.expect("a request")).await;
    let (_, trailers) = of_web(&reply.body);
    assert!(trailers.contains("grpc-status: 4\r\n"), "{trailers}");
    assert!(trailers.contains("grpc-status-details-bin: "), "{trailers}");
    for text in ["AAAA!AAA", "AAAAA", "=AAA"] {
        let request = post(&server, path, "application/grpc-web-text").body(body(text));
        let reply = send(&server, request.expect("a request")).await;
        assert_eq!(reply.header("grpc-status"), "3", "{text}: {reply:?}");
    }
}

#[tokio::test]
async fn envelopes_of_connect_end_with_how_the_stream_ended() {
    let server = Server::start().await;
    homework(&server).await;
    let path = "/backprop.v1.TrainingService/TrainBatch";
    let json_of =
        |envelope: &(u8, Vec<u8>)| serde_json::from_slice::<Value>(&envelope.1).expect("JSON");
    let request = post(&server, path, "application/connect+json")
        .body(body(envelope(0, training(3).to_string().as_bytes())));
    let reply = send(&server, request.expect("a request")).await;
    let said = envelopes(&reply.body);
    assert_eq!(json_of(&said[0]), json!({"started": {"plannedSteps": "3"}}));
    let last = &said[said.len() - 1];
    assert_eq!((last.0, json_of(last)), (2, json!({})));

    let request =
        post(&server, path, "application/connect+proto").body(body(envelope(0, &train(3))));
    let reply = send(&server, request.expect("a request")).await;
    let said = envelopes(&reply.body);
    pb::TrainBatchResponse::decode(&*said[0].1).expect("a message");
    assert_eq!(said[said.len() - 1].0, 2);

    for (content_type, bytes) in [
        ("application/connect+json", envelope(0, b"{\"modle\": 1}")),
        ("application/connect+json", envelope(1, b"{}")),
        ("application/connect+json", vec![0, 0, 0, 0, 9, b'{']),
        (
            "application/connect+json",
            vec![0, 255, 255, 255, 255, b'{'],
        ),
        ("application/connect+proto", envelope(0, b"")),
    ] {
        let request = post(&server, path, content_type).body(body(bytes));
        let reply = send(&server, request.expect("a request")).await;
        assert_eq!(reply.status, 200, "the stream says how it ended");
        let said = envelopes(&reply.body);
        assert_eq!((said.len(), said[0].0), (1, 2));
        let code = json_of(&said[0])["error"]["code"].clone();
        assert!(
            code == "invalid_argument" || code == "resource_exhausted",
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_message_may_come_in_any_pieces() {
    use futures_util::stream::iter;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    let server = Server::start().await;
    homework(&server).await;
    let stream = tokio::net::TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    for size in [1, 3, 100] {
        let text = training(3).to_string();
        let pieces: Vec<Result<_, std::convert::Infallible>> = (text.as_bytes().chunks(size))
            .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let request = post(
            &server,
            "/backprop.v1.TrainingService/TrainBatch",
            "application/json",
        )
        .body(StreamBody::new(iter(pieces)));
        let reply = sender
            .send_request(request.expect("a request"))
            .await
            .expect("a reply");
        assert_eq!(reply.status(), 200);
        let bytes = reply.into_body().collect().await.expect("whole").to_bytes();
        assert!(bytes.starts_with(b"{\"started\""));
    }
}
