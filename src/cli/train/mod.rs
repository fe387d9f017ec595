//! `backpropd train`: train over gRPC, from the data to the confusion matrix.

mod client;
mod dataset;
mod options;
#[cfg(feature = "plot")]
mod plot;
#[cfg(feature = "plot")]
mod png;
mod progress;
mod report;

/// In a build without plots, the options refuse `--plot` before anything is trained.
#[cfg(not(feature = "plot"))]
mod plot {
    use std::path::Path;

    pub(super) fn write(_: &Path, _: &super::Report) -> Result<(), String> {
        Err("this program was built without the feature `plot`".to_owned())
    }
}

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use backpropd_client::pb;
use backpropd_datasets::{Dataset, ReadError, Split, TruthKind};
use clap::{ArgMatches, Command};

use self::{
    client::{Client, Source},
    options::{Data, Options},
    progress::Progress,
    report::{Epoch, Quality, Report},
};
pub(super) use self::{
    client::{Head, predict_held_out, predict_rows},
    dataset::{Matrix, Samples, Truth, advise},
    report::{Confusion, quality},
};
use super::answers::model_line;
use super::local_server::with_client;
use super::saved::{self, DataNotes};
use super::{Failure, datasets, serve, transfer};

pub(super) const NAME: &str = "train";
/// The digits, as every server has them.
const DIGITS: &str = "datasets/digits";
/// Longest wait for the server to delete the session; after it, the session expires by itself.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn command() -> Command {
    options::command(NAME)
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let options = Options::from_matches(matches).map_err(Failure::usage)?;
    let resumed = options.resume.as_deref().map(saved::read).transpose()?;
    let (file, notes) = resumed.unzip();
    let notes = notes.map(Option::unwrap_or_default);
    let encoding = notes.as_ref().and_then(|notes| notes.encoding.as_ref());
    let dataset = dataset::load(&options, encoding).map_err(Failure::usage)?;
    let job = Job::new(options, &dataset, notes, started)?;
    let head = Head::of(&job.samples.held_out, job.options.loss).map_err(Failure::usage)?;
    serve::runtime()?.block_on(with_client(
        job.options.server.as_deref(),
        matches,
        async |server| {
            let report = train(server, &job, head, file).await?;
            publish(&report, &job.options)
        },
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What is trained on, and how.
struct Job {
    options: Options,
    samples: Samples,
    notes: DataNotes,
    /// The data in a line.
    data: String,
    started: Instant,
}

impl Job {
    /// Splits the data, and standardizes them by the training part, or as the training that is continued did.
    fn new(
        options: Options,
        dataset: &Dataset,
        resumed: Option<DataNotes>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let split = Split::new(options.seed, options.test_fraction)
            .map_err(|violations| Failure::usage(violations.to_string()))?;
        let parts = split.parts(dataset);
        let unreadable = |error: ReadError| Failure::failed(error.to_string());
        let standardizes = options.standardize && options.data != Data::Digits;
        let scaled = match &resumed {
            Some(notes) => dataset
                .with_standardization(notes.standardization.clone())
                .map_err(|fault| Failure::usage(format!("--resume: {fault}")))?,
            None if standardizes => dataset::standardize(dataset, &parts).map_err(unreadable)?,
            None => dataset
                .with_standardization(None)
                .map_err(|fault| Failure::failed(fault.to_string()))?,
        };
        let notes = DataNotes {
            encoding: dataset.encoding().cloned(),
            standardization: scaled.standardization().cloned(),
            classes: match dataset.truth() {
                TruthKind::Labels { names } => names.clone(),
                TruthKind::Targets { .. } => Vec::new(),
            },
        };
        if let Some(resumed) = resumed.filter(|resumed| resumed.classes != notes.classes) {
            return Err(Failure::usage(format!(
                "--resume: the data have the classes {}, and the model was trained on {}",
                notes.classes.join(", "),
                resumed.classes.join(", ")
            )));
        }
        Ok(Self {
            samples: Samples::of(scaled, parts).map_err(unreadable)?,
            notes,
            data: datasets::line(dataset),
            options,
            started,
        })
    }
}

async fn train(
    server: backpropd_client::Client,
    job: &Job,
    head: Head,
    file: Option<Vec<u8>>,
) -> Result<Report, Failure> {
    let (options, samples) = (&job.options, &job.samples);
    let rows = samples.parts.train.len();
    let steps_per_epoch = rows.div_ceil(usize::try_from(options.batch_size).unwrap_or(1));
    let total_steps = u64::from(options.epochs) * steps_per_epoch as u64;
    let name = options.name.as_ref();
    let client = match file {
        Some(file) => Client::resume(server, file, name, total_steps).await?,
        None => {
            let source = Source::New {
                spec: client::spec(options, head, samples.dataset.features(), total_steps),
                seed: options.seed,
                parameters: Vec::new(),
            };
            Client::create(server, source, name).await?
        }
    };
    let result = train_model(&client, job, total_steps).await;
    // A session that cannot be deleted in time expires by itself; the result of the training comes first.
    let closed = tokio::time::timeout(PATIENCE, client.close()).await;
    let report = result?;
    closed.unwrap_or(Ok(()))?;
    Ok(report)
}

async fn train_model(client: &Client, job: &Job, total_steps: u64) -> Result<Report, Failure> {
    let (options, samples) = (&job.options, &job.samples);
    let rows = samples.parts.train.len();
    let head = Head::of_model(&client.model, &job.notes).map_err(Failure::usage)?;
    check_resumed(client, samples, head)?;
    if !options.quiet {
        eprintln!("{}\n{}", job.data, network_line(&client.model, options));
    }
    let (request, uploaded) = epoch_request(client, samples, head, options).await?;
    let progress = Progress::new(options.epochs, total_steps, rows, options.quiet);
    let result = tokio::select! {
        result = run_epochs(client, options, samples, head, &request, &progress) => result,
        // The stream is dropped here, which stops the run after its step.
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    };
    progress.finish();
    if let Some(dataset) = uploaded {
        client.delete_dataset(&dataset).await;
    }
    let trained = result?;
    if let Some(path) = &options.save {
        let file = saved::join(&client.export().await?, &job.notes).map_err(Failure::failed)?;
        transfer::replace(path, &file).map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    Ok(Report {
        data: data_name(&options.data),
        train_samples: rows,
        held_out_samples: samples.parts.held_out.len(),
        features: samples.dataset.features(),
        parameters: client.model.parameter_count,
        confusion: Confusion::of(&trained.outputs, &samples.held_out, head),
        epochs: trained.epochs,
        digest: trained.digest,
        steps: trained.steps,
        model: options.name.is_some().then(|| client.model.name.clone()),
        best_epoch: trained.best_epoch,
        total_seconds: job.started.elapsed().as_secs_f64(),
    })
}

/// The request of an epoch, and the name of the dataset that was brought to the server for it. The digits are there already;
/// classes for a loss of numbers are sent as tensors, one-hot.
async fn epoch_request(
    client: &Client,
    samples: &Samples,
    head: Head,
    options: &Options,
) -> Result<(pb::TrainBatchRequest, Option<String>), Failure> {
    if !head.takes_datasets() {
        let part = samples.train_part();
        let part = part.map_err(|error| Failure::failed(error.to_string()))?;
        let spec = client.model.spec.as_ref();
        let dtype = spec.map_or(options.dtype, pb::ModelSpec::compute);
        let request = client::epoch_request(&part, head, options, dtype);
        return Ok((request.map_err(Failure::usage)?, None));
    }
    let is_there = options.data == Data::Digits && samples.dataset.standardization().is_none();
    if is_there {
        let request = client::dataset_request(DIGITS, samples, head, options);
        return Ok((request, None));
    }
    let name = client.upload(samples).await?;
    let request = client::dataset_request(&name, samples, head, options);
    Ok((request, Some(name)))
}

/// Whether a model that was trained before fits these samples.
fn check_resumed(client: &Client, samples: &Samples, head: Head) -> Result<(), Failure> {
    let spec = client.model.spec.clone().unwrap_or_default();
    let features = samples.dataset.features();
    let outputs = match &samples.held_out {
        Truth::Labels { names, .. } if head.outputs > 1 => names.len(),
        Truth::Labels { .. } => 1,
        Truth::Targets(targets) => targets.columns,
    };
    if usize::try_from(spec.input_size) != Ok(features) || head.outputs != outputs {
        return Err(Failure::usage(format!(
            "--resume: the model has {} inputs and {} outputs, and the data {features} features and {outputs} to predict",
            spec.input_size, head.outputs
        )));
    }
    Ok(())
}

/// The network and its training in a line.
fn network_line(model: &pb::Model, options: &Options) -> String {
    let spec = model.spec.clone().unwrap_or_default();
    let words = |name: &str, prefix: &str| {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        name.to_ascii_lowercase().replace('_', " ")
    };
    let activation = match spec.layers.first() {
        Some(layer) if spec.layers.len() > 1 => {
            words(layer.activation().as_str_name(), "ACTIVATION_") + ", "
        }
        Some(_) | None => String::new(),
    };
    let from = match model.step {
        0 => String::new(),
        step => format!(", from step {step}"),
    };
    format!(
        "{}, {activation}{}, {}, {} parameters; {} epochs, {} samples a step{from}",
        model_line(model),
        words(spec.loss().as_str_name(), "LOSS_"),
        words(spec.compute().as_str_name(), "DTYPE_"),
        model.parameter_count,
        options.epochs,
        options.batch_size,
    )
}

/// What a training results in.
struct Trained {
    epochs: Vec<Epoch>,
    /// The epoch, from 1, whose weights the model has.
    best_epoch: usize,
    /// Held-out outputs of these weights.
    outputs: dataset::Matrix,
    digest: String,
    steps: i64,
}

/// The best epoch so far, of a training with patience.
struct Best {
    epoch: usize,
    score: f64,
    parameters: Vec<pb::LayerParameters>,
}

/// Trains and evaluates each epoch, until the last one or the end of the patience.
async fn run_epochs(
    client: &Client,
    options: &Options,
    samples: &Samples,
    head: Head,
    request: &pb::TrainBatchRequest,
    progress: &Progress,
) -> Result<Trained, Failure> {
    let mut epochs: Vec<Epoch> = Vec::new();
    let mut last = None;
    let mut best: Option<Best> = None;
    let first = epoch_of(client.model.step, samples, options);
    for number in 1..=options.epochs {
        let begun = Instant::now();
        let run = run_epoch(client, options, request, first, number, progress).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let held_out = held_out(client, samples, head, run.accuracy).await?;
        let epoch = Epoch {
            losses: run.losses,
            held_out,
            seconds,
            computed_seconds: computed_seconds(&run.completed),
        };
        progress.epoch(number, &epoch);
        epochs.push(epoch);
        last = Some(run.completed);
        let Some(patience) = options.patience else {
            continue;
        };
        let score = held_out.score();
        if best.as_ref().is_none_or(|best| score > best.score) {
            best = Some(Best {
                epoch: epochs.len(),
                score,
                parameters: client.parameters().await?,
            });
        }
        let waited = best.as_ref().map_or(0, |best| epochs.len() - best.epoch);
        if waited >= patience as usize {
            break;
        }
    }
    let completed = last.ok_or_else(|| Failure::usage("--epochs: at least 1 is needed"))?;
    let count = epochs.len();
    let (best_epoch, digest) = match best.filter(|best| best.epoch < count) {
        Some(best) => (best.epoch, client.set_parameters(best.parameters).await?),
        None => (count, completed.weights_digest),
    };
    Ok(Trained {
        epochs,
        best_epoch,
        outputs: client.predict(samples, head).await?,
        digest,
        steps: completed.step,
    })
}

/// The held-out figures after an epoch. The server has counted the right classes; errors of a regression are computed here,
/// in the units of the data.
async fn held_out(
    client: &Client,
    samples: &Samples,
    head: Head,
    accuracy: Option<f64>,
) -> Result<Quality, Failure> {
    let of = samples.parts.held_out.len();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a count of samples"
    )]
    if let Some(accuracy) = accuracy {
        let right = (accuracy * of as f64).round() as usize;
        return Ok(Quality::Classes { right, of });
    }
    let outputs = client.predict(samples, head).await?;
    let scale = &samples.target_scale;
    Ok(report::quality(&outputs, &samples.held_out, head, scale))
}

/// How many epochs a model at this step has behind it.
fn epoch_of(step: i64, samples: &Samples, options: &Options) -> i64 {
    let rows = i64::try_from(samples.parts.train.len()).unwrap_or(i64::MAX);
    step / (rows / i64::from(options.batch_size).max(1)).max(1)
}

/// What an epoch results in.
struct EpochRun {
    /// The loss of each step.
    losses: Vec<f64>,
    completed: pb::Completed,
    /// On the held-out samples, if the server has evaluated it.
    accuracy: Option<f64>,
}

async fn run_epoch(
    client: &Client,
    options: &Options,
    request: &pb::TrainBatchRequest,
    first: i64,
    number: u32,
    progress: &Progress,
) -> Result<EpochRun, Failure> {
    use pb::train_batch_response::Event;
    // Each epoch and each seed has its own order of samples.
    let shuffle_seed = options
        .seed
        .wrapping_mul(1_000_003)
        .wrapping_add(first)
        .wrapping_add(i64::from(number));
    let request = pb::TrainBatchRequest {
        shuffle_seed: Some(shuffle_seed),
        request_id: format!("epoch-{}", first + i64::from(number)),
        ..request.clone()
    };
    let mut run = client.train(request).await?;
    // By step: after a broken connection, steps that were not committed are reported again.
    let mut losses = BTreeMap::new();
    let (mut completed, mut accuracy) = (None, None);
    while let Some(event) = run.next().await? {
        match event {
            Event::Progress(batch) => {
                losses.extend(batch.steps.iter().map(|step| (step.step, step.loss)));
                if let Some(step) = batch.steps.last() {
                    progress.show(number, step, client.model.step);
                }
            }
            Event::Completed(event) => completed = Some(event),
            Event::HeldOut(metrics) => accuracy = metrics.accuracy,
            Event::Started(_) => {}
        }
    }
    let completed = completed.ok_or_else(|| client::incomplete("TrainBatch", "last event"))?;
    if losses.is_empty() {
        // The connection broke before any step was reported, and the server kept only the outcome.
        losses.insert(completed.step, completed.final_loss);
    }
    Ok(EpochRun {
        losses: losses.into_values().collect(),
        completed,
        accuracy,
    })
}

fn computed_seconds(completed: &pb::Completed) -> f64 {
    let computed = completed
        .timings
        .as_ref()
        .and_then(|timings| timings.computed.as_ref());
    #[allow(clippy::cast_precision_loss, reason = "seconds of a run")]
    computed.map_or(0.0, |computed| {
        computed.seconds as f64 + f64::from(computed.nanos) * 1e-9
    })
}

fn data_name(data: &Data) -> String {
    let name = |path: &Path| path.display().to_string();
    match data {
        Data::Digits => "digits".to_owned(),
        Data::File(path) => name(path),
        Data::Pair { inputs, .. } => name(inputs),
    }
}

/// Prints the result and writes the plot.
fn publish(report: &Report, options: &Options) -> Result<(), Failure> {
    let text = if options.json {
        report.json().to_string()
    } else {
        let confusion = report
            .confusion
            .as_ref()
            .filter(|_| !options.quiet)
            .map(|confusion| confusion.table("held-out samples") + "\n\n");
        format!("{}{}", confusion.unwrap_or_default(), report.summary())
    };
    // A reader such as `head` may close the pipe early, which is not an error.
    let _ = writeln!(io::stdout(), "{text}");
    if let Some(path) = &options.plot {
        plot::write(path, report)
            .map_err(|why| Failure::failed(format!("cannot write {}: {why}", path.display())))?;
        if !options.quiet {
            eprintln!("plot: {}", path.display());
        }
    }
    if let (Some(path), false) = (&options.save, options.quiet) {
        eprintln!("model: {}", path.display());
    }
    if let (Some(name), false) = (&report.model, options.quiet) {
        eprintln!("model: {name}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_learn_to_read_digits() {
        let matches = command().get_matches_from([NAME, "--quiet"]);
        let options = Options::from_matches(&matches).expect("the defaults");
        let dataset = dataset::load(&options, None).expect("built in");
        let job = Job::new(options, &dataset, None, Instant::now()).expect("in memory");
        let head = Head::of(&job.samples.held_out, None).expect("classes");
        let runtime = serve::runtime().expect("threads");
        let report = runtime.block_on(with_client(None, &matches, async |server| {
            train(server, &job, head, None).await
        }));
        let report = report.expect("trained");
        assert_eq!(report.epochs.len(), 30);
        assert_eq!(report.steps, 30 * 90);
        assert!(
            report.epochs.iter().all(|epoch| epoch.losses.len() == 90),
            "no metric is lost"
        );
        let last = report.epochs.last().expect("thirty of them");
        assert!(last.held_out.score() >= 0.97, "{}", last.held_out);
    }
}
