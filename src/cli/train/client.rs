//! The calls: a session, a model in it, epochs of training, predictions.

use backpropd_client::{Run, pb, random_id};

use super::{
    dataset::{Matrix, Part, Samples, Truth},
    options::{Optimizer, Options},
};
use crate::cli::saved::DataNotes;
use crate::cli::{Failure, model, upload};

/// Largest request or reply, in bytes: servers accept 64 MiB by default, of which the other fields take a part.
const MOST_BYTES: usize = 60 << 20;
const MAX_REPLY_BYTES: i32 = 64 << 20;

/// The last layer and the encoding of the truth that fit a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Head {
    pub loss: pb::Loss,
    pub outputs: usize,
    /// Classes are sent as labels; otherwise as one-hot targets.
    labels: bool,
    is_classifier: bool,
}

impl Head {
    /// The last layer for `truth`, or the reason why `asked` does not fit it.
    pub(in crate::cli) fn of(truth: &Truth, asked: Option<pb::Loss>) -> Result<Self, String> {
        match truth {
            Truth::Targets(targets) => match asked.unwrap_or(pb::Loss::MeanSquaredError) {
                loss @ (pb::Loss::MeanSquaredError | pb::Loss::HalfSquaredError) => {
                    Ok(Self { loss, outputs: targets.columns, labels: false, is_classifier: false })
                }
                pb::Loss::CrossEntropy | pb::Loss::BinaryCrossEntropy | pb::Loss::Unspecified => Err(
                    "the data are numbers to predict; allowed for --loss are mean-squared-error and half-squared-error".to_owned(),
                ),
            },
            Truth::Labels { names, .. } => Ok(match asked.unwrap_or(pb::Loss::CrossEntropy) {
                loss @ pb::Loss::CrossEntropy => Self { loss, outputs: names.len(), labels: true, is_classifier: true },
                // Two classes need one output.
                loss @ pb::Loss::BinaryCrossEntropy if names.len() == 2 => Self { loss, outputs: 1, labels: true, is_classifier: true },
                loss @ (pb::Loss::BinaryCrossEntropy
                | pb::Loss::MeanSquaredError
                | pb::Loss::HalfSquaredError
                | pb::Loss::Unspecified) => Self { loss, outputs: names.len(), labels: false, is_classifier: true },
            }),
        }
    }

    /// The last layer of a model. Without notes, a class loss tells a classifier.
    pub(in crate::cli) fn of_model(model: &pb::Model, notes: &DataNotes) -> Result<Self, String> {
        let spec = model.spec.as_ref().ok_or("the model has no spec")?;
        let outputs = spec.layers.last().map_or(0, |layer| layer.units);
        let outputs = usize::try_from(outputs).unwrap_or(0);
        let loss = spec.loss();
        let by_loss = match loss {
            pb::Loss::CrossEntropy | pb::Loss::BinaryCrossEntropy => true,
            pb::Loss::MeanSquaredError | pb::Loss::HalfSquaredError | pb::Loss::Unspecified => {
                false
            }
        };
        let is_classifier = by_loss || !notes.classes.is_empty();
        let labels = match loss {
            pb::Loss::CrossEntropy => true,
            pb::Loss::BinaryCrossEntropy => outputs == 1,
            pb::Loss::MeanSquaredError | pb::Loss::HalfSquaredError | pb::Loss::Unspecified => {
                false
            }
        };
        Ok(Self {
            loss,
            outputs,
            labels,
            is_classifier,
        })
    }

    /// Whether the truth of a dataset is what the loss wants: not so if classes become one-hot targets.
    pub(in crate::cli) fn takes_datasets(self) -> bool {
        self.labels || !self.is_classifier
    }

    /// Whether the model predicts classes.
    pub(in crate::cli) fn is_classifier(self) -> bool {
        self.is_classifier
    }

    /// The class that a row of outputs predicts.
    pub(in crate::cli) fn class(self, outputs: &[f64]) -> usize {
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
pub(in crate::cli) fn spec(
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

/// Where a model comes from.
pub(in crate::cli) enum Source {
    /// A spec, and a seed or parameters.
    New {
        spec: pb::ModelSpec,
        seed: i64,
        parameters: Vec<pb::LayerParameters>,
    },
    /// The file of another training.
    File(Vec<u8>),
}

/// `sessions/SESSION/models/MODEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct ModelName {
    pub session_id: String,
    pub model_id: String,
}

impl std::str::FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["sessions", session, "models", model] if !session.is_empty() && !model.is_empty() => {
                Ok(Self {
                    session_id: session.to_owned(),
                    model_id: model.to_owned(),
                })
            }
            _ => Err("allowed is sessions/SESSION/models/MODEL".to_owned()),
        }
    }
}

impl Source {
    async fn create(
        self,
        server: &backpropd_client::Client,
        session: &str,
        model_id: &str,
    ) -> Result<pb::Model, Failure> {
        match self {
            Self::File(bytes) => model::import(server, bytes, session, model_id).await,
            Self::New {
                spec,
                seed,
                parameters,
            } => {
                let request = pb::CreateModelRequest {
                    session: session.to_owned(),
                    model_id: model_id.to_owned(),
                    spec: Some(spec),
                    seed,
                    parameters,
                    request_id: random_id(),
                    ..Default::default()
                };
                let reply = server.create_model(request).await?;
                reply
                    .model
                    .ok_or_else(|| incomplete("CreateModel", "model"))
            }
        }
    }
}

/// A model on a server.
pub(in crate::cli) struct Client {
    server: backpropd_client::Client,
    session: String,
    /// Whether the model stays on the server.
    stays: bool,
    pub model: pb::Model,
}

impl Client {
    /// Creates the model that `source` says: in the session of `name`, where it stays, or in a session of its own.
    pub(in crate::cli) async fn create(
        server: backpropd_client::Client,
        source: Source,
        name: Option<&ModelName>,
    ) -> Result<Self, Failure> {
        // With ids, every call can be repeated after a broken connection.
        let session_id = name.map_or_else(random_id, |name| name.session_id.clone());
        let session = format!("sessions/{session_id}");
        let request = pb::CreateSessionRequest {
            session_id,
            request_id: random_id(),
            ..Default::default()
        };
        match server.create_session(request).await {
            Ok(_) => {}
            Err(status) if name.is_some() && status.code() == tonic::Code::AlreadyExists => {}
            Err(status) => return Err(status.into()),
        }
        let model_id = name.map_or("train", |name| &name.model_id);
        match source.create(&server, &session, model_id).await {
            Ok(model) => Ok(Self {
                server,
                session,
                stays: name.is_some(),
                model,
            }),
            Err(failure) => {
                if name.is_none() {
                    // The error is what matters; a session that remains expires by itself.
                    let request = pb::DeleteSessionRequest { name: session };
                    let _ = server.delete_session(request).await;
                }
                Err(failure)
            }
        }
    }

    /// A model that continues the training of a file. One whose learning rate has decayed to 0 would learn no more: its
    /// parameters go into a new model, whose schedule begins anew and ends after `total_steps`.
    pub(in crate::cli) async fn resume(
        server: backpropd_client::Client,
        file: Vec<u8>,
        name: Option<&ModelName>,
        total_steps: u64,
    ) -> Result<Self, Failure> {
        let found = Self::create(server.clone(), Source::File(file.clone()), None).await?;
        let mut spec = found.model.spec.clone().unwrap_or_default();
        let kind = spec.schedule.as_mut().and_then(|all| all.kind.as_mut());
        let source = match kind {
            Some(pb::schedule::Kind::Cosine(cosine))
                if cosine.final_factor == 0.0
                    && found.model.step >= i64::from(cosine.total_steps) =>
            {
                cosine.total_steps = i32::try_from(total_steps).unwrap_or(i32::MAX);
                Source::New {
                    spec,
                    seed: 0,
                    parameters: found.parameters().await?,
                }
            }
            Some(_) | None if name.is_none() => return Ok(found),
            Some(_) | None => Source::File(file),
        };
        found.close().await?;
        Self::create(server, source, name).await
    }

    /// Starts a run; `request` has everything but the model.
    pub(in crate::cli) async fn train(
        &self,
        request: pb::TrainBatchRequest,
    ) -> Result<Run, Failure> {
        let request = pb::TrainBatchRequest {
            model: self.model.name.clone(),
            ..request
        };
        Ok(self.server.train_batch(request).await?)
    }

    /// The model's outputs for the held-out samples.
    pub(in crate::cli) async fn predict(
        &self,
        samples: &Samples,
        head: Head,
    ) -> Result<Matrix, Failure> {
        predict_held_out(&self.server, &self.model, samples, head).await
    }

    /// Brings the samples to the server, and returns their name there.
    pub(in crate::cli) async fn upload(&self, samples: &Samples) -> Result<String, Failure> {
        let id = random_id();
        let uploaded = upload::upload(&self.server, &samples.dataset, &self.session, &id);
        Ok(uploaded.await?.name)
    }

    /// Deletes the samples that were brought to a session that stays.
    pub(in crate::cli) async fn delete_dataset(&self, name: &str) {
        if self.stays {
            let name = name.to_owned();
            let request = pb::DeleteDatasetRequest { name };
            // The training is over; what remains is deleted with its session.
            let _ = self.server.delete_dataset(request).await;
        }
    }

    /// The model's parameters, in their exact bits.
    pub(in crate::cli) async fn parameters(&self) -> Result<Vec<pb::LayerParameters>, Failure> {
        let request = pb::GetParametersRequest {
            model: self.model.name.clone(),
            encoding: pb::TensorEncoding::Raw.into(),
            max_reply_bytes: MAX_REPLY_BYTES,
        };
        Ok(self.server.get_parameters(request).await?.parameters)
    }

    /// The model as a file.
    pub(in crate::cli) async fn export(&self) -> Result<Vec<u8>, Failure> {
        let name = self.model.name.clone();
        let request = pb::ExportModelRequest { name };
        Ok(self.server.export_model(request).await?)
    }

    /// Deletes the session, and the model with it, unless the model has been given a name to stay.
    pub(in crate::cli) async fn close(&self) -> Result<(), Failure> {
        if self.stays {
            return Ok(());
        }
        self.server
            .delete_session(pb::DeleteSessionRequest {
                name: self.session.clone(),
            })
            .await?;
        Ok(())
    }
}

/// The outputs of a model for the held-out samples.
pub(in crate::cli) async fn predict_held_out(
    server: &backpropd_client::Client,
    model: &pb::Model,
    samples: &Samples,
    head: Head,
) -> Result<Matrix, Failure> {
    let mut values = Vec::new();
    for inputs in samples.held_out_inputs() {
        let inputs = inputs.map_err(|error| Failure::failed(error.to_string()))?;
        values.extend(predict_rows(server, model, &inputs, head).await?.values);
    }
    Ok(Matrix {
        columns: head.outputs,
        values,
    })
}

/// The outputs of a model, in as many calls as their size needs.
pub(in crate::cli) async fn predict_rows(
    server: &backpropd_client::Client,
    model: &pb::Model,
    inputs: &Matrix,
    head: Head,
) -> Result<Matrix, Failure> {
    let dtype = model
        .spec
        .as_ref()
        .map_or(pb::Dtype::Float64, pb::ModelSpec::compute);
    let chunk =
        (MOST_BYTES / (entry_bytes(dtype) * inputs.columns.max(head.outputs).max(1))).max(1);
    let mut values = Vec::with_capacity(inputs.rows() * head.outputs);
    for from in (0..inputs.rows()).step_by(chunk) {
        let request = pb::PredictRequest {
            target: Some(pb::predict_request::Target::Model(model.name.clone())),
            inputs: Some(inputs.tensor(from, chunk, dtype)),
            max_reply_bytes: MAX_REPLY_BYTES,
            ..Default::default()
        };
        let outputs = server.predict(request).await?.outputs;
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

/// A reply without a required field, which a server of this version does not send.
pub(in crate::cli) fn incomplete(call: &str, what: &str) -> Failure {
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

/// The request on the samples that the server has as `dataset`, without the model and the length.
pub(in crate::cli) fn dataset_request(
    dataset: &str,
    samples: &Samples,
    options: &Options,
) -> pb::TrainBatchRequest {
    let rows = |part: pb::SplitPart| pb::DatasetRows {
        dataset: dataset.to_owned(),
        standardize: samples.dataset.standardization().is_some(),
        selection: Some(pb::dataset_rows::Selection::Split(pb::Split {
            held_out_fraction: Some(options.test_fraction),
            seed: options.seed,
            part: part.into(),
        })),
    };
    pb::TrainBatchRequest {
        dataset: Some(rows(pb::SplitPart::Training)),
        held_out: Some(pb::HeldOut {
            dataset: Some(rows(pb::SplitPart::HeldOut)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The request on `training` and `held_out`, whose classes are sent one-hot, without the model and the length.
pub(in crate::cli) fn tensor_request(
    training: &Part,
    held_out: &Part,
    head: Head,
    dtype: pb::Dtype,
) -> Result<pb::TrainBatchRequest, String> {
    let rows = training.inputs.rows() + held_out.inputs.rows();
    let width = training.inputs.columns + head.outputs;
    let bytes = rows
        .saturating_mul(width)
        .saturating_mul(entry_bytes(dtype));
    if bytes > MOST_BYTES {
        return Err(format!(
            "with this loss, classes are sent as numbers, in one request, which can contain {} MiB; these data take {} MiB \
             ({rows} samples of {} features): use fewer samples or features, or --loss cross-entropy, which has no such limit{}",
            MOST_BYTES >> 20,
            bytes >> 20,
            training.inputs.columns,
            if dtype == pb::Dtype::Float64 {
                ", or halve it with --dtype float32"
            } else {
                ""
            }
        ));
    }
    let tensors = |part: &Part| {
        let rows = part.inputs.rows();
        let targets = match &part.truth {
            Truth::Labels { labels, .. } => one_hot(labels, head.outputs).tensor(0, rows, dtype),
            Truth::Targets(targets) => targets.tensor(0, rows, dtype),
        };
        (Some(part.inputs.tensor(0, rows, dtype)), Some(targets))
    };
    let (inputs, targets) = tensors(training);
    let (held_out_inputs, held_out_targets) = tensors(held_out);
    Ok(pb::TrainBatchRequest {
        inputs,
        targets,
        held_out: Some(pb::HeldOut {
            inputs: held_out_inputs,
            targets: held_out_targets,
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// The runs of a training on the samples of `request`: one for each epoch, each with its own order of samples, which is the
/// same if the training is continued from a file. With patience there is one for all epochs, since the server counts.
/// `first` is the number of epochs that the model has behind it.
pub(in crate::cli) fn runs(
    mut request: pb::TrainBatchRequest,
    samples: &Samples,
    options: &Options,
    first: i64,
) -> impl Iterator<Item = pb::TrainBatchRequest> {
    let all = i32::try_from(options.epochs).unwrap_or(i32::MAX);
    let (runs, epochs) = match options.patience {
        Some(_) => (1, all),
        None => (all, 1),
    };
    if let (Some(held_out), Some(patience)) = (&mut request.held_out, options.patience) {
        held_out.patience = i32::try_from(patience).unwrap_or(i32::MAX);
        held_out.keep_best = true;
    }
    let most = i32::try_from(samples.parts.train.len()).unwrap_or(i32::MAX);
    request.epochs = epochs;
    request.minibatch_size = options.batch_size.min(most);
    // A new model has it in its spec.
    request.learning_rate = options.learning_rate.filter(|_| options.resume.is_some());
    let seed = options.seed.wrapping_mul(1_000_003);
    (1..=i64::from(runs)).map(move |number| pb::TrainBatchRequest {
        shuffle_seed: Some(seed.wrapping_add(first).wrapping_add(number)),
        request_id: format!("epoch-{}", first + number),
        ..request.clone()
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
