//! One call at a time, on a server that has nothing else to do.

use std::path::PathBuf;
use std::time::Instant;

use backpropd::rpc::pb;
use bytes::Bytes;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::fixture::{Training, create};
use crate::noop::{GRADIENTS, call};
use crate::requests::{connect, raw, spec};
use crate::workload::Work;

const PREDICT: &str = "/backprop.v1.TrainingService/Predict";

#[derive(serde::Deserialize)]
pub struct Latency {
    addresses: Vec<String>,
    /// A Gradients request with its frame.
    request: PathBuf,
    rounds: usize,
    calls: usize,
}

impl Latency {
    /// The servers take turns, so that what disturbs the machine disturbs all. Messages stay bytes here: what a client
    /// adds is the same for all.
    pub async fn measure(self) -> Value {
        let body = Bytes::from(std::fs::read(&self.request).unwrap()).slice(5..);
        let mut channels = Vec::new();
        for address in &self.addresses {
            channels.push(connect(address).await);
        }
        let mut took = vec![Vec::new(); channels.len()];
        for round in 0..=self.rounds {
            for (channel, took) in channels.iter().zip(&mut took) {
                let times = time(channel, GRADIENTS, &body, self.calls).await;
                // The first round warms up.
                if round > 0 {
                    took.extend(times);
                }
            }
        }
        let percentiles = took.iter_mut().map(|took| {
            took.sort_by(f64::total_cmp);
            json!({"p50_us": took[took.len() / 2], "p99_us": took[took.len() * 99 / 100]})
        });
        percentiles.collect()
    }
}

#[derive(serde::Deserialize)]
pub struct Payload {
    address: String,
    /// How many bytes of inputs to send.
    bytes: Vec<usize>,
    seconds: f64,
}

impl Payload {
    /// Predict of a network so small that the batch's way is what counts: 25 features, 100 bytes a row.
    pub async fn measure(self) -> Value {
        const FEATURES: usize = 25;
        let channel = connect(&self.address).await;
        let work = Work {
            sizes: vec![FEATURES, 1],
            rows: 1,
            bias: false,
            adam: false,
            learning_rate: 0.0,
        };
        let dtype = pb::Dtype::Float32;
        let model = create(&mut Training::new(channel.clone()), spec(&work, dtype), 1).await;
        let mut told = Vec::new();
        for bytes in self.bytes {
            let request = pb::PredictRequest {
                target: Some(pb::predict_request::Target::Model(model.name.clone())),
                inputs: Some(raw(bytes / (4 * FEATURES), FEATURES, dtype, 1)),
                ..Default::default()
            };
            let body = Bytes::from(request.encode_to_vec());
            let warm = time(&channel, PREDICT, &body, 20).await;
            let calls = (self.seconds * 1e6 / warm[warm.len() - 1]) as usize;
            let mut took = time(&channel, PREDICT, &body, calls.clamp(20, 10_000)).await;
            told.push(json!({"bytes": bytes, "p50_us": crate::median(&mut took)}));
        }
        Value::Array(told)
    }
}

/// How long each of some calls took, in microseconds.
pub async fn time(channel: &Channel, path: &'static str, body: &Bytes, calls: usize) -> Vec<f64> {
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        call(channel, path, body.clone()).await.unwrap();
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    took
}
