//! Many sessions, each with a model of the homework's network.

use std::time::Instant;

use backpropd::rpc::pb;
use futures_util::future::join_all;
use pb::predict_request::Target;
use serde_json::{Value, json};

use crate::fixture::{self, Sessions as SessionClient, Training};
use crate::median;
use crate::requests::connect;

#[derive(serde::Deserialize)]
pub struct Sessions {
    address: String,
    /// The number of the first one, and the one after the last.
    from: usize,
    to: usize,
    /// Make them, in place of only calling them.
    create: bool,
}

impl Sessions {
    /// Every model is called once, 64 at a time; then some in turn. Both are timed.
    pub async fn measure(self) -> Value {
        const AT_ONCE: usize = 64;
        const CALLS: usize = 2000;
        let channel = connect(&self.address).await;
        let client = Training::new(channel.clone());
        let sessions = SessionClient::new(channel);
        let numbers: Vec<usize> = (self.from..self.to).collect();
        let mut first = Vec::new();
        for some in numbers.chunks(AT_ONCE) {
            let calls = some.iter().map(|&number| {
                let (mut client, mut sessions) = (client.clone(), sessions.clone());
                async move {
                    if self.create {
                        make(&mut sessions, &mut client, number).await;
                    }
                    predict(&mut client, number).await
                }
            });
            first.append(&mut join_all(calls).await);
        }
        let mut client = client;
        let mut took = Vec::new();
        for call in 0..CALLS {
            let number = numbers[call * 7919 % numbers.len()];
            took.push(predict(&mut client, number).await * 1e6);
        }
        first.sort_by(f64::total_cmp);
        let at = |share: f64| first[(share * (first.len() - 1) as f64) as usize] * 1e3;
        json!({
            "p50_us": median(&mut took),
            "first_p50_ms": at(0.5), "first_p99_ms": at(0.99), "first_most_ms": at(1.0),
        })
    }
}

async fn make(sessions: &mut SessionClient, client: &mut Training, number: usize) {
    let request = pb::CreateSessionRequest {
        session_id: format!("s{number}"),
        ..Default::default()
    };
    sessions.create_session(request).await.unwrap();
    let request = pb::CreateModelRequest {
        session: format!("sessions/s{number}"),
        model_id: "m".to_owned(),
        spec: Some(fixture::homework()),
        seed: number as i64,
        ..Default::default()
    };
    client.create_model(request).await.unwrap();
}

/// Seconds of a call.
async fn predict(client: &mut Training, number: usize) -> f64 {
    let request = pb::PredictRequest {
        target: Some(Target::Model(format!("sessions/s{number}/models/m"))),
        inputs: Some(fixture::inputs()),
        ..Default::default()
    };
    let began = Instant::now();
    client.predict(request).await.unwrap();
    began.elapsed().as_secs_f64()
}
