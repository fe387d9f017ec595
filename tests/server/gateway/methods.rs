//! Every method is reached in every form, with the effect and the reply that it has in gRPC.

use backpropd::rpc::pb;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use tonic::Request;

use super::{body, call, homework, post, send, training};
use crate::fixture::Server;

fn pool() -> DescriptorPool {
    DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors")
}

/// The JSON of a message of gRPC, by prost-reflect.
fn theirs<M: prost::Name>(message: &M) -> Value {
    let of = pool()
        .get_message_by_name(&M::full_name())
        .expect("it is served");
    let message = DynamicMessage::decode(of, &*message.encode_to_vec()).expect("a message");
    serde_json::to_value(message).expect("JSON")
}

/// Without what differs from call to call.
fn settled(mut reply: Value) -> Value {
    if let Some(reply) = reply.as_object_mut() {
        reply.remove("timings");
    }
    reply
}

#[tokio::test]
async fn every_method_is_reached_in_json_and_protobuf_and_none_is_unimplemented() {
    let server = Server::start().await;
    let mut reached = 0;
    for service in pool().services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let is_stream = method.is_server_streaming() || method.is_client_streaming();
            let forms: &[(&str, &[u8])] = if is_stream {
                &[
                    ("application/json", b"{}"),
                    ("application/connect+json", b"\0\0\0\0\x02{}"),
                    ("application/connect+proto", b"\0\0\0\0\0"),
                    ("application/grpc-web+proto", b"\0\0\0\0\0"),
                    ("application/grpc-web-text", b"AAAAAAA="),
                ]
            } else {
                &[
                    ("application/json", b"{}"),
                    ("application/proto", b""),
                    ("application/grpc-web", b"\0\0\0\0\0"),
                    ("application/grpc-web-text+proto", b"AAAAAAA="),
                ]
            };
            let mut said = Vec::new();
            for (content_type, text) in forms {
                let request =
                    post(&server, &path, content_type).body(body(Bytes::from_static(text)));
                let reply = send(&server, request.expect("a request")).await;
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                assert!(
                    !text.contains("unimplemented"),
                    "{path} {content_type}: {text}"
                );
                let status = reply.header("grpc-status");
                assert!(
                    !matches!(status, "12" | "13" | "2"),
                    "{path} {content_type}: {reply:?}"
                );
                assert!(
                    reply.header("content-type").starts_with("application/"),
                    "{path} {content_type}: {reply:?}"
                );
                if content_type.ends_with("json") {
                    said.push(text);
                }
            }
            reached += 1;
        }
    }
    assert!(reached > 30, "{reached} methods");
}

#[tokio::test]
async fn replies_in_json_are_those_of_grpc() {
    let server = Server::start().await;
    let model = homework(&server).await;
    let name = "sessions/lab/models/hw";
    let mut training = server.training().await;
    let get = pb::GetModelRequest {
        name: name.to_owned(),
    };
    let grpc = training.get_model(get).await.expect("a model").into_inner();
    let json = call(&server, "TrainingService/GetModel", &json!({"name": name})).await;
    assert_eq!(
        theirs(&grpc)["model"]["weightsDigest"],
        model["weightsDigest"]
    );
    assert_eq!(json.json()["model"]["spec"], theirs(&grpc)["model"]["spec"]);
    let request = json!({"model": name, "include": ["QUANTITY_D_W", "QUANTITY_DELTA"],
        "inputs": {"shape": [2, 4], "values": [1, 2, 3, 4, -1, 0, 1, 2]},
        "targets": {"shape": [2, 1], "values": [1, -1]}});
    let of = pool()
        .get_message_by_name("backprop.v1.GradientsRequest")
        .expect("it is served");
    let message = DynamicMessage::deserialize(of, &request).expect("a request");
    let message = pb::GradientsRequest::decode(&*message.encode_to_vec()).expect("a request");
    let grpc = training
        .gradients(message.clone())
        .await
        .expect("gradients")
        .into_inner();
    let reply = call(&server, "TrainingService/Gradients", &request).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(!reply.header("x-request-id").is_empty());
    assert_eq!(settled(reply.json()), settled(theirs(&grpc)));
    // The same in protobuf.
    let request = post(
        &server,
        "/backprop.v1.TrainingService/Gradients",
        "application/proto",
    )
    .body(body(message.encode_to_vec()));
    let reply = send(&server, request.expect("a request")).await;
    let decoded = pb::GradientsResponse::decode(reply.body).expect("a reply");
    assert_eq!(decoded.tensors, grpc.tensors);
}

/// A model that was exported in JSON lines is imported in them, and trains as before.
#[tokio::test]
async fn streams_of_lines_go_both_ways() {
    let server = Server::start().await;
    homework(&server).await;
    let name = "sessions/lab/models/hw";
    let reply = call(&server, "TrainingService/TrainBatch", &training(3)).await;
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let lines = reply.lines();
    assert_eq!(lines[0], json!({"started": {"plannedSteps": "3"}}));
    let last = &lines[lines.len() - 1]["completed"];
    assert_eq!(
        (&last["step"], &last["stopReason"]),
        (&json!("3"), &json!("STOP_REASON_FINISHED"))
    );

    let export = call(
        &server,
        "TrainingService/ExportModel",
        &json!({"name": name}),
    )
    .await;
    let pieces = export.lines();
    assert!(!pieces.is_empty());
    let file: Vec<u8> = (pieces.iter())
        .flat_map(|piece| {
            STANDARD
                .decode(piece["data"].as_str().expect("data"))
                .expect("base64")
        })
        .collect();
    let mut lines = vec![json!({"session": "sessions/lab", "modelId": "copy"}).to_string()];
    // Blank lines, ends of lines of Windows, and small pieces.
    for piece in file.chunks(100) {
        lines.push(format!("{}\r\n", json!({"data": STANDARD.encode(piece)})));
    }
    for content_type in ["application/json", "application/x-ndjson"] {
        let text = lines
            .join("\n")
            .replace("copy", &content_type.replace(['/', '-'], ""));
        let path = "/backprop.v1.TrainingService/ImportModel";
        let request = post(&server, path, content_type).body(body(text));
        let reply = send(&server, request.expect("a request")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(
            reply.json()["model"]["weightsDigest"],
            last["weightsDigest"]
        );
    }
    let bytes = |numbers: &[f64]| {
        STANDARD.encode(
            numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect::<Vec<u8>>(),
        )
    };
    let rows = [
        json!({"header": {"session": "sessions/lab", "datasetId": "line", "rows": 2, "features": 2, "targetColumns": 1}}),
        json!({"rows": {"inputs": bytes(&[1.0, 2.0]), "targets": bytes(&[3.0])}}),
        json!({"rows": {"inputs": bytes(&[4.0, 5.0]), "targets": bytes(&[6.0])}}),
    ];
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let path = "/backprop.v1.DatasetService/CreateDataset";
    let request = post(&server, path, "application/json").body(body(text));
    let reply = send(&server, request.expect("a request")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn the_deadline_of_the_connect_protocol_ends_a_call() {
    let server = Server::start().await;
    homework(&server).await;
    let request = post(
        &server,
        "/backprop.v1.TrainingService/TrainBatch",
        "application/json",
    )
    .header("connect-timeout-ms", "300")
    .header("connect-protocol-version", "1")
    .body(body(training(100_000_000).to_string()));
    let reply = send(&server, request.expect("a request")).await;
    assert_eq!(reply.status, 200);
    let lines = reply.lines();
    let (code, reason) = super::error(&lines[lines.len() - 1]["error"]);
    assert_eq!((&*code, &*reason), ("deadline_exceeded", "DEADLINE"));
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_stream() {
    let server = Server::start().await;
    homework(&server).await;
    let mut connection = super::connect(&server).await;
    let request = post(
        &server,
        "/backprop.v1.TrainingService/TrainBatch",
        "application/json",
    )
    .body(body(training(100_000_000).to_string()));
    let reply = connection
        .send_request(request.expect("a request"))
        .await
        .expect("a reply");
    let mut stream = reply.into_body();
    let first = http_body_util::BodyExt::frame(&mut stream)
        .await
        .expect("a frame")
        .expect("a frame");
    assert!(
        first
            .data_ref()
            .is_some_and(|line| line.starts_with(b"{\"started\""))
    );
    drop(stream);
    let mut training = server.training().await;
    let list = pb::ListRunsRequest {
        model: "sessions/lab/models/hw".to_owned(),
    };
    crate::fixture::until(async || {
        let runs = training
            .list_runs(Request::new(list.clone()))
            .await
            .expect("runs")
            .into_inner();
        runs.runs.iter().all(|run| run.end_time.is_some())
    })
    .await;
}
