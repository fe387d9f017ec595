//! Bytes that are no request: too many, malformed, for no method.

use backpropd::rpc::pb;
use backpropd_client::RawCodec;
use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use crate::fixture::{
    Server, assert_unchanged, bad_fields, create_homework, fact, inputs, refused, tensor, train,
};

async fn send(server: &Server, method: &str, message: &[u8]) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.expect("a connection");
    let path = PathAndQuery::try_from(format!("/backprop.v1.{method}")).expect("a path");
    let reply = client.unary(
        Request::new(Bytes::copy_from_slice(message)),
        path,
        RawCodec,
    );
    Ok(reply.await?.into_inner())
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut good = prost::Message::encode_to_vec(&train(&model, 1));
    good.truncate(good.len() - 3);
    let endless_varint = [0xFF; 12];
    let bad_utf8 = [0x0A, 2, 0xC3, 0x28];
    let wrong_wire_type = [0x08, 1];
    let field_zero = [0x00, 0x00];
    // A group within a group within a group: recursion is limited.
    let groups = [0x0B_u8; 1000];
    let cases: [&[u8]; 6] = [
        &good,
        &endless_varint,
        &bad_utf8,
        &wrong_wire_type,
        &field_zero,
        &groups,
    ];
    for bytes in cases {
        for method in ["TrainBatch", "Gradients", "CreateModel"] {
            if method == "CreateModel" && bytes == good {
                continue;
            }
            let sent = send(&server, &format!("TrainingService/{method}"), bytes).await;
            let status = sent.expect_err("no message");
            refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
        }
    }
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn random_bytes_never_cost_more_than_their_call() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let good = prost::Message::encode_to_vec(&train(&model, 1));
    let mut state = 1_u64;
    for _ in 0..300 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut bytes = good.clone();
        let at = (state >> 33) as usize % bytes.len();
        bytes[at] ^= (state >> 20) as u8 | 1;
        if let Err(status) = send(&server, "TrainingService/Gradients", &bytes).await {
            assert_ne!(status.code(), Code::Internal, "{status:?}");
            assert_ne!(status.code(), Code::Unknown, "{status:?}");
        }
    }
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn what_is_no_method_is_unimplemented() {
    let server = Server::start().await;
    for method in ["TrainingService/Dream", "DreamService/Train", "x"] {
        let status = send(&server, method, &[]).await.expect_err("no method");
        refused(&status, Code::Unimplemented, "UNKNOWN_METHOD");
    }
}

#[tokio::test]
async fn the_limit_on_a_request_holds_to_the_byte() {
    let server = Server::with(|config| config.max_request_bytes = 2048).await;
    for size in [2047, 2048] {
        // Three bytes are the field's tag and length.
        let status = get_sized(&server, size).await.expect_err("no such name");
        assert_eq!(bad_fields(&status), ["name"], "{size} bytes are read");
    }
    let status = get_sized(&server, 2049).await.expect_err("too large");
    let details = refused(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let quota = details.quota_failure().expect("a QuotaFailure");
    assert_eq!(quota.violations[0].subject, "max_request_bytes");
    assert_eq!(fact(&status, "limit"), "2048");
    assert!(status.message().contains("2049"), "{}", status.message());
}

async fn get_sized(server: &Server, size: usize) -> Result<pb::GetModelResponse, Status> {
    let request = pb::GetModelRequest {
        name: "x".repeat(size - 3),
    };
    assert_eq!(prost::Message::encoded_len(&request), size);
    let reply = server.training().await.get_model(request).await?;
    Ok(reply.into_inner())
}

#[tokio::test]
async fn a_request_far_above_the_limit_gets_the_same_answer() {
    let server = Server::with(|config| config.max_request_bytes = 1 << 20).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::TrainBatchRequest {
        inputs: Some(tensor([1 << 20, 4], &vec![0.5; 4 << 20])),
        ..train(&model, 1)
    };
    let status = client.train_batch(request).await.unwrap_err();
    refused(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert_unchanged(&mut client, &model).await;
    // The connection is still good.
    let predict = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name)),
        inputs: Some(inputs()),
        ..Default::default()
    };
    client
        .predict(predict)
        .await
        .expect("the next call is fine");
}
