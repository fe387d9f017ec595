//! What one client takes, another does not miss: memory, connections, health.

use std::time::Duration;

use backpropd::rpc::{CountingCodec, pb};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{
    FOREVER, PATIENCE, Server, Training, create, create_homework, fact, homework, hurried, layer,
    numbers, refused, run, tensor, train, under_way, until,
};
use crate::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, call, connect, frame, message_header, until_closed,
};

const PREDICT: &str = "/backprop.v1.TrainingService/Predict";
const GOAWAY: u8 = 7;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MIB: usize = 1 << 20;

async fn assert_healthy(server: &Server) {
    let mut health = HealthClient::new(server.channel().await);
    let answer = health.check(HealthCheckRequest::default()).await;
    answer.expect("health is answered whatever else is not");
}

async fn get_model(client: &mut Training) -> Status {
    let name = "sessions/a/models/b".to_owned();
    let answer = client.get_model(pb::GetModelRequest { name }).await;
    answer.expect_err("there is no such model")
}

fn batch(model: &pb::Model, rows: i32) -> pb::PredictRequest {
    pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name.clone())),
        inputs: Some(tensor([rows, 4], &numbers(rows as usize * 4, 1))),
        ..Default::default()
    }
}

/// A call with this message, in frames.
fn whole_call(stream: u32, path: &str, message: &impl prost::Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut data = message_header(u32::try_from(message.len()).expect("short"));
    data.extend(&message);
    let mut frames = frame(HEADERS, END_HEADERS, stream, &call(path));
    let last = data.chunks(1 << 14).count() - 1;
    for (index, some) in data.chunks(1 << 14).enumerate() {
        let flags = if index == last { END_STREAM } else { 0 };
        frames.extend(frame(DATA, flags, stream, some));
    }
    frames
}

/// The kinds of the frames that the server sends until it ends the connection.
async fn kinds_until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let said = until_closed(stream).await;
    let (mut frames, mut kinds) = (said.as_slice(), Vec::new());
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        kinds.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        frames = rest.get(length..).unwrap_or_default();
    }
    kinds
}

/// Trying again would not help: no connection can hold so much.
fn refused_for_good(refusal: &Status) {
    let details = refused(refusal, Code::ResourceExhausted, "QUOTA");
    assert_eq!(fact(refusal, "setting"), "max_in_flight_bytes");
    assert!(details.retry_info().is_none());
    assert!(!refusal.message().contains("again"), "{refusal:?}");
}

#[tokio::test]
async fn a_message_in_tiny_frames_holds_what_it_weighs() {
    let server = Server::with(|config| config.max_in_flight_bytes = 64 * MIB).await;
    let mut other = server.training().await;
    let model = create_homework(&mut other).await;
    let mut stream = connect(&server, &[]).await;
    let mut frames = frame(HEADERS, END_HEADERS, 1, &call(PREDICT));
    frames.extend(frame(DATA, 0, 1, &message_header(40 << 20)));
    stream.write_all(&frames).await.expect("it is taken");
    let byte = frame(DATA, 0, 1, &[0]);
    // An answered PING says that the server has seen all of it.
    let ping = frame(6, 0, 0, b"all seen");
    let mut said = Vec::new();
    let seen = async {
        for _ in 0..60 {
            let frames = byte.repeat(1000);
            stream.write_all(&frames).await.expect("it is taken");
        }
        stream.write_all(&ping).await.expect("it is taken");
        while !said.windows(8).any(|bytes| bytes == b"all seen") {
            assert!(stream.read_buf(&mut said).await.expect("it is open") > 0);
        }
    };
    hurried(tokio::time::timeout(PATIENCE, seen))
        .await
        .expect("an answer");
    // 60,000 bytes are held, not 60,000 KiB.
    let reply = other.predict(batch(&model, 100_000)).await;
    reply.expect("there is memory for three megabytes and what they are made into");
}

#[tokio::test]
async fn a_request_that_trickles_is_given_up() {
    let server = Server::with(|config| config.stall_seconds = 1).await;
    let stream = connect(&server, &[]).await;
    let (mut from, mut to) = stream.into_split();
    let mut frames = frame(HEADERS, END_HEADERS, 1, &call(PREDICT));
    frames.extend(frame(DATA, 0, 1, &message_header(1 << 20)));
    to.write_all(&frames).await.expect("it is taken");
    assert_given_up(&mut from, &mut to, 1).await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up_however_steadily_it_comes() {
    let server = Server::with(|config| config.max_request_seconds = 1).await;
    let stream = connect(&server, &[]).await;
    let (mut from, mut to) = stream.into_split();
    let mut frames = frame(HEADERS, END_HEADERS, 1, &call(PREDICT));
    frames.extend(frame(DATA, 0, 1, &message_header(32 << 20)));
    to.write_all(&frames).await.expect("it is taken");
    assert_given_up(&mut from, &mut to, 4096).await;
}

/// Sends so many bytes every few milliseconds until the call is answered.
async fn assert_given_up(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    bytes: usize,
) {
    let some = frame(DATA, 0, 1, &vec![0; bytes]);
    let mut said = Vec::new();
    let given_up = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    // What comes after the answer is not taken any more.
                    let _ = to.write_all(&some).await;
                }
                read = from.read_buf(&mut said) => {
                    assert!(read.expect("it is open") > 0, "closed without a word");
                    if said.windows(9).any(|head| head[3] == HEADERS && head[4] & END_STREAM != 0 && head[5..] == [0, 0, 0, 1]) {
                        break;
                    }
                }
            }
        }
    };
    let given_up = tokio::time::timeout(PATIENCE, given_up).await;
    given_up.expect("the call is answered though its request goes on");
}

/// A connection on which nothing of a reply may be sent.
async fn closed_window(server: &Server) -> TcpStream {
    connect(server, &[(INITIAL_WINDOW_SIZE, 0)]).await
}

#[tokio::test]
async fn small_replies_that_are_not_taken_end_the_connection() {
    let server = Server::with(|config| config.stall_seconds = 1).await;
    let mut other = server.training().await;
    let model = create_homework(&mut other).await;
    let mut stream = closed_window(&server).await;
    for id in 0..20 {
        let call = whole_call(2 * id + 1, PREDICT, &batch(&model, 10));
        stream.write_all(&call).await.expect("it is taken");
    }
    until_closed(&mut stream).await;
    other
        .predict(batch(&model, 10))
        .await
        .expect("others are served");
}

/// One whose debugger stands at a breakpoint reads its stream later; training goes on, and its metrics are thinned.
#[tokio::test]
async fn a_stream_of_training_may_wait_for_its_reader_and_a_reply_may_not() {
    let server = Server::with(|config| config.stall_seconds = 1).await;
    let mut other = server.training().await;
    let model = create_homework(&mut other).await;
    let mut paused = closed_window(&server).await;
    let endless = train(&model, FOREVER);
    let endless = whole_call(1, "/backprop.v1.TrainingService/TrainBatch", &endless);
    paused.write_all(&endless).await.expect("it is taken");
    until(async || crate::fixture::now(&mut other, &model).await.step > 0).await;
    // The other connection's end says that there was time for this one's.
    for _ in 0..2 {
        let mut stalled = closed_window(&server).await;
        let call = whole_call(1, PREDICT, &batch(&model, 10));
        stalled.write_all(&call).await.expect("it is taken");
        until_closed(&mut stalled).await;
    }
    let before = crate::fixture::now(&mut other, &model).await.step;
    until(async || crate::fixture::now(&mut other, &model).await.step > before).await;
    drop(paused);
    until(async || !crate::fixture::now(&mut other, &model).await.training).await;
}

#[tokio::test]
async fn replies_that_wait_count_and_leave_room_for_others() {
    let server = Server::with(|config| config.max_in_flight_bytes = 64 * MIB).await;
    let mut other = server.training().await;
    let large = pb::ModelSpec {
        input_size: 500,
        layers: vec![layer(1000, pb::Activation::Unspecified, false)],
        ..homework()
    };
    let model = create(&mut other, large, 1).await;
    let request = pb::GetParametersRequest {
        model: model.name,
        encoding: pb::TensorEncoding::Raw.into(),
        ..Default::default()
    };
    // 4 MB each, on connections that take nothing.
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = closed_window(&server).await;
        for id in 0..30 {
            let call = whole_call(
                2 * id + 1,
                "/backprop.v1.TrainingService/GetParameters",
                &request,
            );
            stream.write_all(&call).await.expect("it is taken");
        }
        held.push(stream);
    }
    assert_healthy(&server).await;
    let small = create_homework(&mut other).await;
    run(&mut other, train(&small, 1))
        .await
        .expect("small calls go on");
    let mut greedy = server.training().await;
    let mut kept = Vec::new();
    let refusal = loop {
        // The client's own windows take little of it; the rest waits on the server.
        match greedy
            .export_model(pb::ExportModelRequest {
                name: request.model.clone(),
            })
            .await
        {
            Ok(stream) => kept.push(stream),
            Err(refusal) => break refusal,
        }
        assert!(kept.len() < 100, "a connection's share ends");
    };
    let details = refused(&refusal, Code::ResourceExhausted, "QUEUE_FULL");
    assert_eq!(fact(&refusal, "setting"), "max_in_flight_bytes");
    assert!(details.retry_info().is_some());
}

#[tokio::test]
async fn a_file_that_is_begun_is_sent_whole_however_little_memory_is_left() {
    let server = Server::with(|config| config.max_in_flight_bytes = 64 * MIB).await;
    let mut client = server.training().await;
    // 4 MB each, then 80 KB each: what is left is less than a piece of a file.
    let mut models = Vec::new();
    for units in [1000, 20] {
        let spec = pb::ModelSpec {
            input_size: 500,
            layers: vec![layer(units, pb::Activation::Unspecified, false)],
            ..homework()
        };
        models.push((units, create(&mut client, spec, 1).await.name));
    }
    let mut kept = Vec::new();
    for (units, name) in models {
        let refusal = loop {
            let request = pb::ExportModelRequest { name: name.clone() };
            match client.export_model(request).await {
                Ok(stream) => kept.push((units, stream.into_inner())),
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(fact(&refusal, "setting"), "max_in_flight_bytes");
    }
    // Together: the client's window for the connection is open to all of them.
    let whole = kept.into_iter().map(async |(units, mut stream)| {
        let mut bytes = 0;
        while let Some(piece) = stream.message().await.expect("it was begun") {
            bytes += piece.data.len();
        }
        assert!(bytes > 500 * units as usize * 8, "{bytes}");
    });
    futures_util::future::join_all(whole).await;
}

#[tokio::test]
async fn copies_of_a_network_sent_along_count() {
    let server = Server::with(|config| config.max_in_flight_bytes = 64 * MIB).await;
    let mut client = server.training().await;
    let spec = pb::ModelSpec {
        input_size: 1500,
        layers: vec![layer(1500, pb::Activation::Unspecified, false)],
        ..homework()
    };
    // 18 MB, and as many again as a matrix and as a model: more than one connection's share of 64 MiB.
    let weights = pb::Tensor {
        shape: vec![1500, 1500],
        raw: vec![0; 1500 * 1500 * 8].into(),
        dtype: pb::Dtype::Float64.into(),
        ..Default::default()
    };
    let parameters = vec![pb::LayerParameters {
        weights: Some(weights),
        bias: None,
    }];
    let request = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Inline(Box::new(
            pb::InlineModel {
                spec: Some(spec.clone()),
                parameters: parameters.clone(),
            },
        ))),
        inputs: Some(tensor([1, 1500], &[0.0; 1500])),
        targets: Some(tensor([1, 1500], &[0.0; 1500])),
        include: vec![pb::Quantity::Delta.into()],
        ..Default::default()
    };
    let refusal = client.gradients(request).await.expect_err("too much");
    refused_for_good(&refusal);
    // Only looked at, a model takes memory all the same: here its weights and Adam's two moments.
    let request = pb::CreateModelRequest {
        spec: Some(pb::ModelSpec {
            input_size: 1500,
            layers: vec![layer(1500, pb::Activation::Unspecified, false)],
            ..crate::fixture::homework_with_adam()
        }),
        validate_only: true,
        ..Default::default()
    };
    let refusal = client.create_model(request).await.expect_err("too much");
    refused_for_good(&refusal);
    create(&mut client, spec, 1).await;
}

#[tokio::test]
async fn a_check_takes_its_parameters_once_and_their_gradients_twice() {
    // 1000 × 1000 parameters: 8 MB each time, 24 MB of the 29 that one call can have.
    let server = Server::with(|config| config.max_in_flight_bytes = 43 * MIB).await;
    let mut client = server.training().await;
    let spec = pb::ModelSpec {
        input_size: 1000,
        layers: vec![layer(1000, pb::Activation::Unspecified, false)],
        ..homework()
    };
    let model = create(&mut client, spec, 1).await;
    let request = |rows: i32| pb::CheckGradientsRequest {
        target: Some(pb::check_gradients_request::Target::Model(
            model.name.clone(),
        )),
        inputs: Some(tensor([rows, 1000], &numbers(rows as usize * 1000, 1))),
        targets: Some(tensor([rows, 1000], &numbers(rows as usize * 1000, 2))),
        max_entries_per_tensor: 1,
        ..Default::default()
    };
    let checked = client.check_gradients(request(1)).await;
    checked.expect("three times its parameters fit");
    let refusal = client.check_gradients(request(200)).await;
    refused_for_good(&refusal.expect_err("too much"));
}

#[tokio::test]
async fn a_flood_of_frames_that_carry_nothing_is_told_to_calm_down() {
    const CALM_DOWN: [u8; 9] = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
    let server = Server::start().await;
    let (mut from, mut to) = connect(&server, &[]).await.into_split();
    let flood = tokio::spawn(async move {
        let frames = frame(250, 0, 0, b"x").repeat(1000);
        while to.write_all(&frames).await.is_ok() {}
    });
    let mut said = Vec::new();
    let closed = async { while from.read_buf(&mut said).await.is_ok_and(|read| read > 0) {} };
    let closed = hurried(tokio::time::timeout(PATIENCE, closed)).await;
    closed.expect("the connection is closed");
    let told = said
        .windows(17)
        .any(|end| end.starts_with(&CALM_DOWN) && end[16] == 11);
    assert!(told, "{said:?}");
    flood.await.expect("it ends with the connection");
    assert_healthy(&server).await;
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let server = Server::with(|config| config.idle_seconds = 1).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, mut running) = under_way(&mut client, train(&model, FOREVER)).await;
    let mut idle = connect(&server, &[]).await;
    let kinds = kinds_until_closed(&mut idle).await;
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    // One with a call under way stays.
    let event = crate::fixture::next(&mut running).await;
    event.expect("the run goes on").expect("an event");
}

#[tokio::test]
async fn idle_connections_give_way_and_busy_ones_do_not() {
    let server = Server::with(|config| config.max_connections = 4).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, mut running) = under_way(&mut client, train(&model, FOREVER)).await;
    for _ in 0..20 {
        // Each does something, and then nothing.
        get_model(&mut server.training().await).await;
    }
    let mut kept = Vec::new();
    for _ in 0..20 {
        let mut idle = server.training().await;
        let status = get_model(&mut idle).await;
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
        kept.push(idle);
    }
    let event = crate::fixture::next(&mut running).await;
    event.expect("the run goes on").expect("an event");
}

#[tokio::test]
async fn an_address_has_its_share_of_connections_and_another_its_own() {
    let server = Server::with(|config| config.max_connections_per_address = 2).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = server.training().await;
        let model = create_homework(&mut client).await;
        busy.push(under_way(&mut client, train(&model, FOREVER)).await);
    }
    let status = get_model(&mut server.training().await).await;
    let details = refused(&status, Code::ResourceExhausted, "QUEUE_FULL");
    assert!(details.retry_info().is_some());
    assert_eq!(fact(&status, "setting"), "max_connections_per_address");
    // All of 127.0.0.0/8 is this machine.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("a URI");
    let elsewhere = endpoint.local_address(Some([127, 0, 0, 2].into()));
    let channel = elsewhere.connect().await.expect("the server listens");
    let status = get_model(&mut Training::new(channel)).await;
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
}

#[tokio::test]
async fn health_is_answered_where_no_connection_is_free_whoever_stands_in_the_way() {
    let server = Server::with(|config| config.max_connections = 2).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = server.training().await;
        let model = create_homework(&mut client).await;
        busy.push(under_way(&mut client, train(&model, FOREVER)).await);
    }
    let mut standing = Vec::new();
    for index in 0..300 {
        let stream = if index % 2 == 0 {
            connect(&server, &[]).await
        } else {
            TcpStream::connect(server.address).await.expect("accepted")
        };
        standing.push(stream);
        if index % 50 == 0 {
            assert_healthy(&server).await;
        }
    }
    assert_healthy(&server).await;
    let status = get_model(&mut server.training().await).await;
    refused(&status, Code::ResourceExhausted, "QUEUE_FULL");
}

#[tokio::test]
async fn a_watch_that_is_refused_leaves_nothing_behind() {
    let server = Server::with(|config| {
        config.max_streams_per_session = 1;
        config.max_watchers_per_model = 1;
    })
    .await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let running = under_way(&mut client, train(&model, FOREVER)).await;
    let watch = pb::WatchModelRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    for _ in 0..3 {
        let refusal = client
            .watch_model(watch.clone())
            .await
            .expect_err("no stream");
        assert_eq!(fact(&refusal, "setting"), "max_streams_per_session");
    }
    drop(running);
    until(async || client.watch_model(watch.clone()).await.is_ok()).await;
}

#[tokio::test]
async fn messages_without_end_in_one_call_are_cut_off() {
    let server = Server::with(|config| config.max_request_bytes = MIB).await;
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    grpc.ready().await.expect("the server listens");
    // A call of this method has one message.
    let endless = futures_util::stream::repeat(pb::PredictRequest::default());
    let codec = CountingCodec::<pb::PredictRequest, pb::PredictResponse>::default();
    let path = http::uri::PathAndQuery::from_static(PREDICT);
    let answer = grpc.client_streaming(tonic::Request::new(endless), path, codec);
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    let refusal = answer.expect("an answer").expect_err("too many");
    refused(&refusal, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
}
