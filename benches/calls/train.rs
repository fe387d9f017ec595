//! One-step TrainBatch calls from many clients at once.

use std::time::{Duration, Instant};

use backpropd::rpc::pb;
use futures_util::future::join_all;
use pb::train_batch_response::Event;
use serde_json::{Value, json};

use crate::fixture::Training;
use crate::requests::{connect, spec, train};
use crate::workload::Work;

#[derive(serde::Deserialize)]
pub struct Train {
    address: String,
    /// Each has a connection and a model of its own.
    clients: usize,
    seconds: f64,
    double: bool,
    durable: bool,
    /// All models in one session, in place of one in each.
    one_session: bool,
    #[serde(flatten)]
    work: Work,
}

impl Train {
    pub async fn measure(self) -> Value {
        let dtype = if self.double {
            pb::Dtype::Float64
        } else {
            pb::Dtype::Float32
        };
        let mut session = String::new();
        let mut clients = Vec::new();
        for seed in 0..self.clients {
            let mut client = Training::new(connect(&self.address).await);
            let request = pb::CreateModelRequest {
                session: session.clone(),
                spec: Some(spec(&self.work, dtype)),
                seed: seed as i64,
                ..Default::default()
            };
            let model = client.create_model(request).await.unwrap().into_inner();
            let model = model.model.unwrap();
            if self.one_session {
                session = model.name.split("/models/").next().unwrap().to_owned();
            }
            let durability = if self.durable {
                pb::Durability::Durable
            } else {
                pb::Durability::Relaxed
            };
            let request = pb::TrainBatchRequest {
                durability: durability.into(),
                ..train(&self.work, dtype, &model.name, 1)
            };
            clients.push((client, request));
        }
        // A warm-up, which is not counted.
        let before = load(&clients, self.seconds / 5.0).await;
        let began = Instant::now();
        let acknowledged = load(&clients, self.seconds).await;
        let per_second = acknowledged as f64 / began.elapsed().as_secs_f64();
        json!({"per_second": per_second, "acknowledged": before + acknowledged})
    }
}

/// How many calls were acknowledged.
async fn load(clients: &[(Training, pb::TrainBatchRequest)], seconds: f64) -> usize {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let loads = clients.iter().map(|(client, request)| {
        let (mut client, request) = (client.clone(), request.clone());
        tokio::spawn(async move {
            let mut acknowledged = 0;
            while Instant::now() < end {
                let reply = client.train_batch(request.clone()).await.unwrap();
                let mut stream = reply.into_inner();
                let mut completed = false;
                while let Some(message) = stream.message().await.unwrap() {
                    completed = matches!(message.event, Some(Event::Completed(_)));
                }
                assert!(completed, "a run without its end");
                acknowledged += 1;
            }
            acknowledged
        })
    });
    let counts = join_all(loads).await.into_iter();
    counts.map(|count| count.unwrap()).sum()
}
