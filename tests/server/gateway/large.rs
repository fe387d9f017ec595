//! Large messages: their limits, their memory, and that they hold nobody up.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{body, call, homework, post, send};
use crate::fixture::Server;

const PREDICT: &str = "/backprop.v1.TrainingService/Predict";

fn rows(rows: usize) -> String {
    let values = "0.125,".repeat(rows * 4);
    let values = values.trim_end_matches(',');
    format!(
        "{{\"model\": \"sessions/lab/models/hw\", \"inputs\": {{\"shape\": [{rows}, 4], \"values\": [{values}]}}}}"
    )
}

#[tokio::test]
async fn a_large_request_has_a_large_reply() {
    let server = Server::start().await;
    homework(&server).await;
    let request = post(&server, PREDICT, "application/json").body(body(rows(100_000)));
    let reply = send(&server, request.expect("a request")).await;
    assert_eq!(
        reply.status,
        200,
        "{:?}",
        &reply.body[..reply.body.len().min(500)]
    );
    let json = reply.json();
    assert_eq!(
        json["outputs"]["values"].as_array().map(Vec::len),
        Some(100_000)
    );
}

#[tokio::test]
async fn a_text_larger_than_a_request_is_refused_with_the_limit() {
    let server = Server::with(|config| config.max_request_bytes = 64 << 10).await;
    homework(&server).await;
    for text in [rows(5_000), rows(100_000)] {
        let request = post(&server, PREDICT, "application/json").body(body(text));
        let reply = send(&server, request.expect("a request")).await;
        assert_eq!(reply.status, 429, "{reply:?}");
        assert_eq!(
            reply.error(),
            (
                "resource_exhausted".to_owned(),
                "MESSAGE_TOO_LARGE".to_owned()
            )
        );
    }
    let lines = format!("{}\n", json!({"data": "A".repeat(400_000)}));
    let request = post(
        &server,
        "/backprop.v1.TrainingService/ImportModel",
        "application/json",
    );
    let reply = send(&server, request.body(body(lines)).expect("a request")).await;
    assert_eq!(reply.error().1, "MESSAGE_TOO_LARGE", "{reply:?}");
}

#[tokio::test]
async fn memory_that_conversions_take_is_counted_and_given_back() {
    let server = Server::with(|config| {
        config.max_request_bytes = 2 << 20;
        config.max_reply_bytes = 2 << 20;
        config.max_workspace_bytes = 4 << 20;
        config.max_in_flight_bytes = 8 << 20;
    })
    .await;
    homework(&server).await;
    let mut refused = 0;
    for at in 0..40 {
        // "0," is two bytes, and eight in a message.
        let zeros = "0,".repeat(900_000);
        let text = rows(1).replacen("0.125", &format!("{zeros}1"), 1);
        let request = post(&server, PREDICT, "application/json").body(body(text));
        let reply = send(&server, request.expect("a request")).await;
        let (code, reason) = reply.error();
        assert_eq!(code, "resource_exhausted", "{at}: {reply:?}");
        refused += usize::from(reason == "QUOTA");
    }
    assert_eq!(refused, 40, "a call that can never fit");
    // All of it is back.
    let reply = call(
        &server,
        "TrainingService/GetModel",
        &json!({"name": "sessions/lab/models/hw"}),
    )
    .await;
    assert_eq!(reply.status, 200);
    let request = post(&server, PREDICT, "application/json").body(body(rows(20_000)));
    let reply = send(&server, request.expect("a request")).await;
    assert_eq!(
        reply.status,
        200,
        "{:?}",
        &reply.body[..reply.body.len().min(500)]
    );
}

/// One thread answers all calls of this server, so a conversion on it would show.
#[tokio::test]
async fn small_calls_go_on_while_large_texts_are_converted() {
    let server = Server::start().await;
    homework(&server).await;
    let text = rows(1).replacen("0.125", &format!("{}1", "0.1234567,".repeat(2_000_000)), 1);
    let large = async {
        let request = post(&server, PREDICT, "application/json").body(body(text));
        let began = Instant::now();
        let reply = send(&server, request.expect("a request")).await;
        assert_eq!(reply.status, 400, "one row of many numbers: {reply:?}");
        began.elapsed()
    };
    let small = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..50 {
            let began = Instant::now();
            let reply = call(&server, "ServerService/GetServerInfo", &json!({})).await;
            assert_eq!(reply.status, 200);
            slowest = slowest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        slowest
    };
    let (large, small) = tokio::join!(large, small);
    assert!(small < large / 2, "{small:?} of {large:?}");
}
