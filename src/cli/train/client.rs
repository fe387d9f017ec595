//! The calls: a session, a model in it, epochs of training, predictions.

use backpropd_client::{Run, pb, random_id};

use super::{
    dataset::{Matrix, Part, Truth},
    options::{Optimizer, Options},
};
use crate::cli::Failure;

/// Largest request or reply, in bytes: servers accept 64 MiB by default, of which the other fields take a part.
const MOST_BYTES: usize = 60 << 20;
const MAX_REPLY_BYTES: i32 = 64 << 20;

/// The last layer and the encoding of the truth that fit a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub loss: pb::Loss,
    pub outputs: usize,
    /// Classes are sent as labels; otherwise as one-hot targets.
    labels: bool,
}

impl Head {
    /// The last layer for `truth`, or the reason why `asked` does not fit it.
    pub(super) fn of(truth: &Truth, asked: Option<pb::Loss>) -> Result<Self, String> {
        match truth {
            Truth::Targets(targets) => match asked.unwrap_or(pb::Loss::MeanSquaredError) {
                loss @ (pb::Loss::MeanSquaredError | pb::Loss::HalfSquaredError) => {
                    Ok(Self { loss, outputs: targets.columns, labels: false })
                }
                pb::Loss::CrossEntropy | pb::Loss::BinaryCrossEntropy | pb::Loss::Unspecified => Err(
                    "the data are numbers to predict; allowed for --loss are mean-squared-error and half-squared-error".to_owned(),
                ),
            },
            Truth::Labels { names, .. } => Ok(match asked.unwrap_or(pb::Loss::CrossEntropy) {
                loss @ pb::Loss::CrossEntropy => Self { loss, outputs: names.len(), labels: true },
                // Two classes need one output.
                loss @ pb::Loss::BinaryCrossEntropy if names.len() == 2 => Self { loss, outputs: 1, labels: true },
                loss @ (pb::Loss::BinaryCrossEntropy
                | pb::Loss::MeanSquaredError
                | pb::Loss::HalfSquaredError
                | pb::Loss::Unspecified) => Self { loss, outputs: names.len(), labels: false },
            }),
        }
    }

    /// The class that a row of outputs predicts.
    pub(super) fn class(self, outputs: &[f64]) -> usize {
        match outputs {
            [output] => usize::from(*output > 0.0),
            outputs => {
                outputs.iter().enumerate().fold(
                    0,
                    |best, (at, value)| if *value > outputs[best] { at } else { best },
                )
            }
        }
    }
}

/// The spec of the model of `options`, with a schedule of `total_steps`.
pub(super) fn spec(
    options: &Options,
    head: Head,
    input_size: usize,
    total_steps: u64,
) -> pb::ModelSpec {
    let size = |size: usize| i32::try_from(size).unwrap_or(i32::MAX);
    let layer = |units, activation: pb::Activation| pb::Layer {
        units,
        activation: activation.into(),
        bias: true,
        ..Default::default()
    };
    let mut layers: Vec<_> = options
        .hidden
        .iter()
        .map(|units| layer(*units, options.activation))
        .collect();
    layers.push(layer(size(head.outputs), pb::Activation::Linear));
    let schedule = pb::Schedule {
        warmup_steps: 0,
        // A rate that decays to 0 lets the weights settle; otherwise the last epochs vary around the best one.
        kind: Some(pb::schedule::Kind::Cosine(pb::CosineSchedule {
            total_steps: i32::try_from(total_steps).unwrap_or(i32::MAX),
            final_factor: 0.0,
        })),
    };
    pb::ModelSpec {
        input_size: size(input_size),
        layers,
        loss: head.loss.into(),
        optimizer: Some(optimizer(options)),
        schedule: options.cosine.then_some(schedule),
        clip_norm: options.clip_norm,
        compute: options.dtype.into(),
        ..Default::default()
    }
}

fn optimizer(options: &Options) -> pb::model_spec::Optimizer {
    use pb::model_spec::Optimizer as Pb;
    let rate = |default: f64| Some(options.learning_rate.unwrap_or(default));
    let weight_decay = options.weight_decay.unwrap_or(0.0);
    match options.optimizer {
        Optimizer::Sgd => Pb::Sgd(pb::Sgd {
            learning_rate: rate(0.1),
            weight_decay,
            ..Default::default()
        }),
        Optimizer::Momentum => Pb::Sgd(pb::Sgd {
            learning_rate: rate(0.02),
            momentum: 0.9,
            weight_decay,
            ..Default::default()
        }),
        Optimizer::Adam => Pb::Adam(pb::Adam {
            learning_rate: rate(0.003),
            weight_decay,
            ..Default::default()
        }),
        Optimizer::AdamW => Pb::Adamw(pb::AdamW {
            learning_rate: rate(0.01),
            weight_decay: options.weight_decay.or(Some(ADAMW_WEIGHT_DECAY)),
            ..Default::default()
        }),
        Optimizer::RmsProp => Pb::Rmsprop(pb::RmsProp {
            learning_rate: rate(0.001),
            weight_decay,
            ..Default::default()
        }),
    }
}

/// With it and the other defaults, held-out accuracy on the digits is 98.4 % on average and at least 97.2 %, seeds 1 to 20.
const ADAMW_WEIGHT_DECAY: f64 = 0.1;

/// A model on a server, in its own session.
pub(super) struct Client {
    server: backpropd_client::Client,
    session: String,
    pub model: pb::Model,
}

impl Client {
    /// Creates a session and the model in it.
    pub(super) async fn create(
        server: backpropd_client::Client,
        spec: pb::ModelSpec,
        seed: i64,
    ) -> Result<Self, Failure> {
        // With ids, every call can be repeated after a broken connection.
        let request = pb::CreateSessionRequest {
            session_id: random_id(),
            request_id: random_id(),
            ..Default::default()
        };
        let reply = server.create_session(request).await?;
        let session = reply
            .session
            .ok_or_else(|| incomplete("CreateSession", "session"))?
            .name;
        let request = pb::CreateModelRequest {
            session: session.clone(),
            model_id: "train".to_owned(),
            spec: Some(spec),
            seed,
            request_id: random_id(),
            ..Default::default()
        };
        let reply = match server.create_model(request).await {
            Ok(reply) => reply,
            Err(status) => {
                // The error is what matters; a session that remains expires by itself.
                let _ = server
                    .delete_session(pb::DeleteSessionRequest { name: session })
                    .await;
                return Err(status.into());
            }
        };
        let model = reply
            .model
            .ok_or_else(|| incomplete("CreateModel", "model"))?;
        Ok(Self {
            server,
            session,
            model,
        })
    }

    /// Starts one epoch; `request` has everything but the model.
    pub(super) async fn train(&self, request: pb::TrainBatchRequest) -> Result<Run, Failure> {
        let request = pb::TrainBatchRequest {
            model: self.model.name.clone(),
            ..request
        };
        Ok(self.server.train_batch(request).await?)
    }

    /// The model's outputs, in as many calls as their size needs.
    pub(super) async fn predict(
        &self,
        inputs: &Matrix,
        head: Head,
        dtype: pb::Dtype,
    ) -> Result<Matrix, Failure> {
        let chunk = (MOST_BYTES / (entry_bytes(dtype) * inputs.columns.max(head.outputs))).max(1);
        let mut values = Vec::with_capacity(inputs.rows() * head.outputs);
        for from in (0..inputs.rows()).step_by(chunk) {
            let request = pb::PredictRequest {
                target: Some(pb::predict_request::Target::Model(self.model.name.clone())),
                inputs: Some(inputs.tensor(from, chunk, dtype)),
                max_reply_bytes: MAX_REPLY_BYTES,
                ..Default::default()
            };
            let outputs = self.server.predict(request).await?.outputs;
            let outputs = outputs.ok_or_else(|| incomplete("Predict", "outputs"))?;
            let outputs = outputs.to_f64();
            values.extend(
                outputs.map_err(|why| Failure::failed(format!("the reply to Predict: {why}")))?,
            );
        }
        if values.len() != inputs.rows() * head.outputs {
            return Err(incomplete("Predict", "outputs for every sample"));
        }
        Ok(Matrix {
            columns: head.outputs,
            values,
        })
    }

    /// Deletes the session, and the model with it.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        self.server
            .delete_session(pb::DeleteSessionRequest {
                name: self.session.clone(),
            })
            .await?;
        Ok(())
    }
}

/// A reply without a required field, which a server of this version does not send.
pub(super) fn incomplete(call: &str, what: &str) -> Failure {
    Failure::failed(format!(
        "the reply to {call} lacks the {what}; is the server a backpropd of this version?"
    ))
}

fn entry_bytes(dtype: pb::Dtype) -> usize {
    match dtype {
        pb::Dtype::Float32 => 4,
        pb::Dtype::Float64 | pb::Dtype::Unspecified => 8,
    }
}

/// The request of one epoch on `data`, without the model and the fields that differ between epochs.
pub(super) fn epoch_request(
    data: &Part,
    head: Head,
    options: &Options,
) -> Result<pb::TrainBatchRequest, String> {
    let rows = data.inputs.rows();
    let width = data.inputs.columns + if head.labels { 1 } else { head.outputs };
    let bytes = rows
        .saturating_mul(width)
        .saturating_mul(entry_bytes(options.dtype));
    if bytes > MOST_BYTES {
        return Err(format!(
            "the training part takes {} MiB ({rows} samples of {} features) and one request can contain {} MiB: use fewer samples or \
             features, hold more out with --test-fraction{}",
            bytes >> 20,
            data.inputs.columns,
            MOST_BYTES >> 20,
            if options.dtype == pb::Dtype::Float64 {
                ", or halve it with --dtype float32"
            } else {
                ""
            }
        ));
    }
    let (labels, targets) = match &data.truth {
        Truth::Labels { labels, .. } if head.labels => (
            labels
                .iter()
                .map(|label| i32::try_from(*label).unwrap_or(i32::MAX))
                .collect(),
            None,
        ),
        Truth::Labels { labels, .. } => (
            Vec::new(),
            Some(one_hot(labels, head.outputs).tensor(0, rows, options.dtype)),
        ),
        Truth::Targets(targets) => (Vec::new(), Some(targets.tensor(0, rows, options.dtype))),
    };
    Ok(pb::TrainBatchRequest {
        inputs: Some(data.inputs.tensor(0, rows, options.dtype)),
        targets,
        labels,
        epochs: 1,
        minibatch_size: options
            .batch_size
            .min(i32::try_from(rows).unwrap_or(i32::MAX)),
        ..Default::default()
    })
}

fn one_hot(labels: &[usize], classes: usize) -> Matrix {
    let mut values = vec![0.0; labels.len() * classes];
    for (row, label) in labels.iter().enumerate() {
        values[row * classes + label] = 1.0;
    }
    Matrix {
        columns: classes,
        values,
    }
}
