//! Trains a network on XOR. Start a server with `backpropd`, then `cargo run -p backpropd-client --example train`; the
//! address of a server elsewhere is its argument.

use std::error::Error;

use backpropd_client::pb::train_batch_response::Event;
use backpropd_client::{Client, pb, random_id};

/// Returns the network's outputs for (0, 0), (0, 1), (1, 0), (1, 1).
pub async fn train(server: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let client = Client::connect(server).await?;
    let layer = |units, activation: pb::Activation| pb::Layer {
        units,
        activation: activation.into(),
        bias: true,
        ..Default::default()
    };
    let layers = [
        layer(8, pb::Activation::Tanh),
        layer(1, pb::Activation::Linear),
    ];
    let spec = pb::ModelSpec {
        input_size: 2,
        layers: layers.to_vec(),
        optimizer: Some(pb::model_spec::Optimizer::Adam(pb::Adam {
            learning_rate: Some(0.05),
            ..Default::default()
        })),
        ..Default::default()
    };
    let request = pb::CreateModelRequest {
        spec: Some(spec),
        ..Default::default()
    };
    let model = client
        .create_model(request)
        .await?
        .model
        .ok_or("no model")?;

    let inputs = pb::Tensor::from_f64(&[4, 2], &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    let request = pb::TrainBatchRequest {
        model: model.name.clone(),
        inputs: Some(inputs.clone()),
        targets: Some(pb::Tensor::from_f64(&[4, 1], &[0.0, 1.0, 1.0, 0.0])?),
        steps: 300,
        metrics_every: 50,
        // With it, the run continues after a broken connection and a restart of the server.
        request_id: random_id(),
        ..Default::default()
    };
    let mut run = client.train_batch(request).await?;
    while let Some(event) = run.next().await? {
        if let Event::Progress(progress) = event {
            for step in progress.steps {
                println!("step {:3}: loss {:.6}", step.step, step.loss);
            }
        }
    }

    let request = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name)),
        inputs: Some(inputs),
        ..Default::default()
    };
    let outputs = client.predict(request).await?.outputs.ok_or("no outputs")?;
    Ok(outputs.to_f64()?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1);
    let server = server.as_deref().unwrap_or("localhost:50051");
    println!("XOR: {:.2?}", train(server).await?);
    Ok(())
}
