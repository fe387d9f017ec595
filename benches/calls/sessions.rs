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
    /// Every model is called once; those in the end one at a time, which are timed.
    pub async fn measure(self) -> Value {
        const AT_ONCE: usize = 64;
        const CALLS: usize = 2000;
        let channel = connect(&self.address).await;
        let client = Training::new(channel.clone());
        let sessions = SessionClient::new(channel);
        let numbers: Vec<usize> = (self.from..self.to).collect();
        for some in numbers.chunks(AT_ONCE) {
            let calls = some.iter().map(|&number| {
                let (mut client, mut sessions) = (client.clone(), sessions.clone());
                async move {
                    if self.create {
                        make(&mut sessions, &mut client, number).await;
                    }
                    predict(&mut client, number).await;
                }
            });
            join_all(calls).await;
        }
        let mut client = client;
        let mut took = Vec::new();
        for call in 0..CALLS {
            let number = call * 7919 % self.to;
            let began = Instant::now();
            predict(&mut client, number).await;
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
        json!({"p50_us": median(&mut took)})
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

async fn predict(client: &mut Training, number: usize) {
    let request = pb::PredictRequest {
        target: Some(Target::Model(format!("sessions/s{number}/models/m"))),
        inputs: Some(fixture::inputs()),
        ..Default::default()
    };
    client.predict(request).await.unwrap();
}
