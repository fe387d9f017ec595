//! Peers that mean harm, or are broken: each is cut off or refused, and nobody else notices.

use std::time::Duration;

use backpropd::rpc::pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use crate::fixture::{
    FOREVER, PATIENCE, Server, Training, create_homework, fact, homework, hurried, inputs, layer,
    numbers, refused, tensor, train, under_way,
};
use crate::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, call,
    connect, flood, flood_and, frame, message_header, until_closed,
};

const PREDICT: &str = "/backprop.v1.TrainingService/Predict";
const MIB: usize = 1 << 20;

async fn impatient() -> Server {
    Server::with(|config| {
        config.handshake_seconds = 1;
        config.stall_seconds = 1;
    })
    .await
}

/// Somebody else is served as ever.
async fn assert_serves(client: &mut Training) {
    let model = create_homework(client).await;
    let request = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name)),
        inputs: Some(inputs()),
        ..Default::default()
    };
    client.predict(request).await.expect("others are served");
}

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() {
    let server = Server::start().await;
    let mut other = server.training().await;
    let stream = connect(&server, &[]).await;
    let mut id = 1;
    flood(stream, || {
        let mut frames = Vec::new();
        for _ in 0..100 {
            frames.extend(frame(HEADERS, END_HEADERS, id, &call(PREDICT)));
            frames.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
            id += 2;
        }
        frames
    })
    .await;
    assert_serves(&mut other).await;
}

#[tokio::test]
async fn headers_that_never_end_end_the_connection() {
    let server = Server::start().await;
    let mut other = server.training().await;
    let mut stream = connect(&server, &[]).await;
    let begin = frame(HEADERS, 0, 1, &call(PREDICT));
    stream.write_all(&begin).await.expect("it is taken");
    let mut more = vec![0x00, 3];
    more.extend(b"abc");
    more.push(100);
    more.extend([b'x'; 100]);
    flood(stream, || frame(CONTINUATION, 0, 1, &more.repeat(100))).await;
    assert_serves(&mut other).await;
}

#[tokio::test]
async fn whoever_asks_without_end_and_reads_no_answer_is_cut_off() {
    let server = impatient().await;
    let mut other = server.training().await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    hurried(flood_and(
        connect(&server, &[]).await,
        || pings.clone(),
        false,
    ))
    .await;
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(1000);
    hurried(flood_and(
        connect(&server, &[]).await,
        || settings.clone(),
        false,
    ))
    .await;
    assert_serves(&mut other).await;
}

#[tokio::test]
async fn silent_sockets_give_way_to_whoever_speaks() {
    let server = Server::with(|config| config.max_connections = 8).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address).await.expect("accepted"));
    }
    assert_serves(&mut server.training().await).await;
}

#[tokio::test]
async fn a_socket_that_does_not_finish_its_preface_is_closed() {
    let server = impatient().await;
    let mut stream = TcpStream::connect(server.address).await.expect("accepted");
    stream.write_all(b"PRI * HT").await.expect("it is taken");
    until_closed(&mut stream).await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let server = Server::with(|config| config.max_connections = 2).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = server.training().await;
        let model = create_homework(&mut client).await;
        busy.push(under_way(&mut client, train(&model, FOREVER)).await);
    }
    let request = pb::GetModelRequest {
        name: "sessions/a/models/b".to_owned(),
    };
    let refusal = server.training().await.get_model(request).await;
    let details = refused(
        &refusal.expect_err("no place"),
        Code::ResourceExhausted,
        "QUEUE_FULL",
    );
    assert!(details.retry_info().is_some());
    busy.pop();
    let mut third = loop {
        let mut third = server.training().await;
        let name = "sessions/a/models/b".to_owned();
        let answer = third.get_model(pb::GetModelRequest { name }).await;
        if answer.expect_err("no such model").code() == Code::NotFound {
            break third;
        }
    };
    assert_serves(&mut third).await;
}

#[tokio::test]
async fn a_message_that_claims_4_gib_is_refused_at_once() {
    let server = Server::start().await;
    let mut stream = connect(&server, &[]).await;
    let mut frames = frame(HEADERS, END_HEADERS, 1, &call(PREDICT));
    frames.extend(frame(DATA, 0, 1, &message_header(u32::MAX)));
    stream.write_all(&frames).await.expect("it is taken");
    let mut said = Vec::new();
    let told = async {
        while !said.windows(17).any(|bytes| bytes == b"MESSAGE_TOO_LARGE") && !has_trailers(&said) {
            let read = stream.read_buf(&mut said).await.expect("it is open");
            assert!(read > 0, "closed without a word");
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    told.expect("the refusal comes before the message");
}

/// Whether a HEADERS frame with END_STREAM is among the frames.
fn has_trailers(mut frames: &[u8]) -> bool {
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == HEADERS && flags & END_STREAM != 0 {
            return true;
        }
        frames = rest.get(length..).unwrap_or_default();
    }
    false
}

#[tokio::test]
async fn a_request_that_stops_halfway_is_given_up() {
    let server = impatient().await;
    let mut stream = connect(&server, &[]).await;
    let mut frames = frame(HEADERS, END_HEADERS, 1, &call(PREDICT));
    frames.extend(frame(DATA, 0, 1, &message_header(1000)));
    frames.extend(frame(DATA, 0, 1, &[0; 10]));
    stream.write_all(&frames).await.expect("it is taken");
    let mut said = Vec::new();
    let told = async {
        while !has_trailers(&said) {
            let read = stream.read_buf(&mut said).await.expect("it is open");
            assert!(read > 0, "closed without a word");
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    told.expect("the call is answered though its request never ends");
}

#[tokio::test]
async fn whoever_takes_nothing_of_a_large_reply_is_cut_off_and_its_memory_is_free() {
    let server = Server::with(|config| {
        config.stall_seconds = 1;
        config.max_in_flight_bytes = 96 * MIB;
    })
    .await;
    let mut other = server.training().await;
    let large = pb::ModelSpec {
        input_size: 1000,
        layers: vec![layer(1000, pb::Activation::Unspecified, false)],
        ..homework()
    };
    let model = crate::fixture::create(&mut other, large, 1).await;
    let request = pb::GetParametersRequest {
        model: model.name,
        encoding: pb::TensorEncoding::Raw.into(),
        max_reply_bytes: 32 << 20,
    };
    let message = prost::Message::encode_to_vec(&request);
    // SETTINGS_INITIAL_WINDOW_SIZE is 4: one byte, which never becomes more.
    let mut stream = connect(&server, &[(4, 1)]).await;
    for id in [1, 3, 5] {
        let path = "/backprop.v1.TrainingService/GetParameters";
        let mut frames = frame(HEADERS, END_HEADERS, id, &call(path));
        let mut data = message_header(u32::try_from(message.len()).expect("short"));
        data.extend(&message);
        frames.extend(frame(DATA, END_STREAM, id, &data));
        stream.write_all(&frames).await.expect("it is taken");
    }
    until_closed(&mut stream).await;
    let replies = (0..3).map(|_| {
        let (mut other, request) = (other.clone(), request.clone());
        async move { other.get_parameters(request).await }
    });
    for reply in futures_util::future::join_all(replies).await {
        reply.expect("there is memory again");
    }
}

#[tokio::test]
async fn the_largest_request_is_taken_and_one_byte_more_is_not() {
    let server = Server::with(|config| config.max_request_bytes = MIB).await;
    let mut client = server.training().await;
    for (bytes, reason) in [
        (MIB - 1, "INVALID_REQUEST"),
        (MIB, "INVALID_REQUEST"),
        (MIB + 1, "MESSAGE_TOO_LARGE"),
    ] {
        // One byte for the field's number, three for the length.
        let request = pb::GetModelRequest {
            name: "x".repeat(bytes - 4),
        };
        assert_eq!(prost::Message::encoded_len(&request), bytes);
        let refusal = client.get_model(request).await.expect_err("no name");
        refused(&refusal, refusal.code(), reason);
    }
}

#[tokio::test]
async fn what_no_call_can_have_is_refused_for_good() {
    let server = Server::with(|config| config.max_in_flight_bytes = MIB).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name)),
        inputs: Some(tensor([50_000, 4], &numbers(200_000, 1))),
        ..Default::default()
    };
    let refusal = client
        .predict(request)
        .await
        .expect_err("more than there is");
    let details = refused(&refusal, Code::ResourceExhausted, "QUOTA");
    assert!(details.retry_info().is_none());
    assert_eq!(fact(&refusal, "setting"), "max_in_flight_bytes");
    assert_serves(&mut client).await;
}

#[tokio::test]
async fn shapes_that_overflow_and_empty_messages_by_the_thousand_are_refused() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    for shape in [[i32::MAX, i32::MAX], [-1, 4], [i32::MIN, i32::MIN], [0, 4]] {
        let request = pb::PredictRequest {
            target: Some(pb::predict_request::Target::Model(model.name.clone())),
            inputs: Some(tensor(shape, &[1.0; 4])),
            ..Default::default()
        };
        let refusal = client.predict(request).await.expect_err("no such shape");
        refused(&refusal, Code::InvalidArgument, "INVALID_REQUEST");
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let request = pb::TrainBatchRequest {
            learning_rate: Some(number),
            inputs: Some(tensor([1, 4], &[number; 4])),
            targets: Some(tensor([1, 1], &[number])),
            ..crate::fixture::train(&model, 1)
        };
        let refusal = client.train_batch(request).await.expect_err("no number");
        refused(&refusal, Code::InvalidArgument, "INVALID_REQUEST");
    }
    let request = pb::CreateModelRequest {
        spec: Some(pb::ModelSpec {
            layers: vec![pb::Layer::default(); 10_000],
            ..homework()
        }),
        parameters: vec![pb::LayerParameters::default(); 10_000],
        ..Default::default()
    };
    let refusal = client.create_model(request).await.expect_err("too many");
    refused(&refusal, Code::InvalidArgument, "INVALID_REQUEST");
    assert_serves(&mut client).await;
}

#[tokio::test]
async fn a_client_that_writes_one_byte_at_a_time_is_served_and_holds_up_nobody() {
    let server = Server::start().await;
    let mut other = server.training().await;
    let stream = TcpStream::connect(server.address).await.expect("accepted");
    stream.set_nodelay(true).expect("set");
    let (mut from, mut to) = stream.into_split();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &call(PREDICT)));
    bytes.extend(frame(DATA, END_STREAM, 1, &message_header(0)));
    let writes = async {
        for byte in bytes {
            to.write_all(&[byte]).await.expect("it is taken");
            tokio::task::yield_now().await;
        }
    };
    let mut said = Vec::new();
    let reads = async {
        while !has_trailers(&said) {
            assert!(from.read_buf(&mut said).await.expect("it is open") > 0);
        }
    };
    let both = async { tokio::join!(writes, reads, assert_serves(&mut other)) };
    tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .expect("it is answered");
}

#[tokio::test]
async fn a_request_of_countless_empty_parts_is_refused_before_they_take_memory() {
    let server = Server::start().await;
    let mut client = server.training().await;
    // Two bytes each: together within the limit on a request.
    let request = pb::CreateModelRequest {
        parameters: vec![pb::LayerParameters::default(); 1_000_000],
        ..Default::default()
    };
    let refusal = client.create_model(request).await.expect_err("too many");
    refused(&refusal, Code::InvalidArgument, "INVALID_REQUEST");
    assert_serves(&mut client).await;
}
