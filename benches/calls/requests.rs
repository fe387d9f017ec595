//! The requests that h2load sends, and the messages that the clients here build.

use std::path::PathBuf;

use backpropd::rpc::pb;
use bytes::Bytes;
use pb::gradients_request::Target;
use prost::Message as _;
use serde_json::{Map, Value, json};
use tonic::transport::{Channel, Endpoint};

use crate::fixture::{self, Training, create_homework, tensor};
use crate::noop::{GRADIENTS, call};
use crate::workload::Work;

#[derive(serde::Deserialize)]
pub struct Requests {
    address: String,
    folder: PathBuf,
}

impl Requests {
    /// `NAME.request` with its gRPC frame, `NAME.reply` without: what a no-op is to answer. Each is called once, so that
    /// what h2load repeats is known to be answered with OK.
    pub async fn write(self) -> Value {
        let channel = connect(&self.address).await;
        let model = create_homework(&mut Training::new(channel.clone())).await;
        let stored = || Target::Model(model.name.clone());
        let inline = Target::Inline(Box::new(pb::InlineModel {
            spec: Some(fixture::homework()),
            parameters: fixture::homework_parameters(),
        }));
        let only_weights = vec![pb::Quantity::DW as i32];
        let mut told = Map::new();
        for (name, target, include) in [
            ("gradients-all", stored(), vec![]),
            ("gradients-dw", stored(), only_weights.clone()),
            ("gradients-inline-dw", inline, only_weights),
        ] {
            let body = gradients(target, include).encode_to_vec();
            let reply = call(&channel, GRADIENTS, body.clone().into()).await;
            let reply = reply.unwrap();
            let mut framed = vec![0];
            framed.extend((body.len() as u32).to_be_bytes());
            framed.extend(&body);
            let file = |kind: &str| self.folder.join(format!("{name}.{kind}"));
            std::fs::write(file("request"), framed).unwrap();
            std::fs::write(file("reply"), &reply).unwrap();
            told.insert(name.to_owned(), facts(&body, reply));
        }
        Value::Object(told)
    }
}

/// The sizes, and numbers by which two servers' replies can be held against each other.
fn facts(request: &[u8], reply: Bytes) -> Value {
    let reply_bytes = reply.len();
    let reply = pb::GradientsResponse::decode(reply).unwrap();
    let gradients = reply.tensors.iter();
    let gradients = gradients.filter(|tensor| tensor.quantity() == pb::Quantity::DW);
    let entries = gradients.flat_map(|gradient| gradient.tensor.as_ref().unwrap().values.clone());
    let norm = entries.map(|entry| entry * entry).sum::<f64>().sqrt();
    json!({"request_bytes": request.len(), "reply_bytes": reply_bytes, "loss": reply.loss, "norm": norm})
}

/// The homework's network on one sample.
fn gradients(target: Target, include: Vec<i32>) -> pb::GradientsRequest {
    pb::GradientsRequest {
        target: Some(target),
        inputs: Some(tensor([1, 4], &[1.0, 2.0, 3.0, 4.0])),
        targets: Some(tensor([1, 1], &[1.0])),
        include,
        ..Default::default()
    }
}

pub async fn connect(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.tcp_nodelay(true).connect().await.unwrap()
}

/// What a model of this work is to the server.
pub fn spec(work: &Work, dtype: pb::Dtype) -> pb::ModelSpec {
    let layer =
        |&units: &usize| fixture::layer(units as i32, pb::Activation::Unspecified, work.bias);
    pb::ModelSpec {
        input_size: work.sizes[0] as i32,
        layers: work.sizes[1..].iter().map(layer).collect(),
        optimizer: Some(pb::model_spec::Optimizer::Sgd(pb::Sgd {
            learning_rate: Some(work.learning_rate),
            ..Default::default()
        })),
        compute: dtype.into(),
        ..Default::default()
    }
}

/// rows × columns entries as a client with arrays sends them.
pub fn raw(rows: usize, columns: usize, dtype: pb::Dtype, seed: u64) -> pb::Tensor {
    let numbers = fixture::numbers(rows * columns, seed).into_iter();
    let raw: Vec<u8> = match dtype {
        pb::Dtype::Float32 => numbers.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        pb::Dtype::Float64 | pb::Dtype::Unspecified => numbers.flat_map(f64::to_le_bytes).collect(),
    };
    pb::Tensor {
        shape: vec![rows as i32, columns as i32],
        raw: raw.into(),
        dtype: dtype.into(),
        ..Default::default()
    }
}

/// `steps` steps of this work on a model.
pub fn train(work: &Work, dtype: pb::Dtype, model: &str, steps: usize) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        model: model.to_owned(),
        inputs: Some(raw(work.rows, work.sizes[0], dtype, 1)),
        targets: Some(raw(work.rows, work.sizes[work.sizes.len() - 1], dtype, 2)),
        steps: steps as i32,
        ..Default::default()
    }
}
