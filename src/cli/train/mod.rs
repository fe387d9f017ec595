//! `backpropd train`: train over gRPC, from the data to the confusion matrix.

mod client;
mod dataset;
mod epochs;
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
    epochs::Epochs,
    options::{Data, Options},
    progress::Progress,
    report::{Epoch, Report},
};
pub(super) use self::{
    client::{Head, predict_held_out, predict_rows},
    dataset::{Matrix, Samples, Truth, advise},
    report::{Confusion, quality},
};
use super::answers::model_line;
use super::local_server::with_client_on;
use super::saved::{self, DataNotes};
use super::{Failure, datasets, serve, transfer};
use crate::server::SharedDataset;

pub(super) const NAME: &str = "train";
/// The id of the data on the server inside this process.
const SHARED: &str = "data";
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
    let shared = Some(SharedDataset {
        id: SHARED,
        dataset: job.samples.dataset.clone(),
    });
    let server = job.options.server.as_deref();
    let trained = with_client_on(server, shared, matches, async |server| {
        let report = train(server, &job, head, file).await?;
        publish(&report, &job.options)
    });
    serve::runtime()?.block_on(trained)?;
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
    fn steps_per_epoch(&self) -> u64 {
        let size = usize::try_from(self.options.batch_size).unwrap_or(1);
        self.samples.parts.train.len().div_ceil(size.max(1)) as u64
    }

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
    let total_steps = u64::from(options.epochs) * job.steps_per_epoch();
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
    let (request, uploaded) = request(client, job, head).await?;
    let progress = Progress::new(options.epochs, total_steps, rows, options.quiet);
    let runs = client::runs(request, samples, options, epochs_before(client, job));
    let mut epochs = Epochs::new(samples, &client.model, &progress);
    let result = tokio::select! {
        result = epochs.follow(client, runs) => result,
        // The stream is dropped here, which stops the run after its step.
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    };
    progress.finish();
    if let Some(dataset) = uploaded {
        client.delete_dataset(&dataset).await;
    }
    let completed = result?;
    let computed_seconds = epochs.computed_seconds;
    let mut epochs = epochs.into_list();
    if let Some(path) = &options.save {
        let file = saved::join(&client.export().await?, &job.notes).map_err(Failure::failed)?;
        transfer::replace(path, &file).map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    let best_step = completed.best_step.filter(|_| options.patience.is_some());
    let best_epoch = epoch_of(best_step.unwrap_or(completed.step), client, job);
    let outputs = client.predict(samples, head).await?;
    let held_out = report::quality(&outputs, &samples.held_out, head, &samples.target_scale);
    if epochs.iter().all(|epoch| epoch.number != best_epoch) {
        // The connection broke before the figures came, and the server kept only the outcome.
        epochs.push(Epoch {
            number: best_epoch,
            losses: vec![completed.final_loss],
            held_out,
            seconds: 0.0,
        });
        epochs.sort_by_key(|epoch| epoch.number);
    }
    Ok(Report {
        data: data_name(&options.data),
        train_samples: rows,
        held_out_samples: samples.parts.held_out.len(),
        features: samples.dataset.features(),
        parameters: client.model.parameter_count,
        held_out,
        confusion: Confusion::of(&outputs, &samples.held_out, head),
        epochs,
        computed_seconds,
        digest: completed.weights_digest,
        steps: completed.step,
        model: options.name.is_some().then(|| client.model.name.clone()),
        best_epoch,
        total_seconds: job.started.elapsed().as_secs_f64(),
    })
}

/// The epoch of this training, from 1, that a step of the model belongs to.
fn epoch_of(step: i64, client: &Client, job: &Job) -> u32 {
    let taken = step.saturating_sub(client.model.step).unsigned_abs();
    u32::try_from(taken.div_ceil(job.steps_per_epoch())).unwrap_or(u32::MAX)
}

/// How many epochs a model has behind it.
fn epochs_before(client: &Client, job: &Job) -> i64 {
    let step = client.model.step.unsigned_abs();
    i64::try_from(step / job.steps_per_epoch()).unwrap_or(i64::MAX)
}

/// The request of the training without its length, and the name of the dataset if one was sent to the server for it.
async fn request(
    client: &Client,
    job: &Job,
    head: Head,
) -> Result<(pb::TrainBatchRequest, Option<String>), Failure> {
    let (options, samples) = (&job.options, &job.samples);
    let (request, uploaded) = if !head.takes_datasets() {
        let spec = client.model.spec.as_ref();
        let dtype = spec.map_or(options.dtype, pb::ModelSpec::compute);
        (tensors(samples, head, dtype)?, None)
    } else if options.data == Data::Digits && samples.dataset.standardization().is_none() {
        (client::dataset_request(DIGITS, samples, options), None)
    } else if options.server.is_none() {
        let shared = format!("datasets/{SHARED}");
        (client::dataset_request(&shared, samples, options), None)
    } else {
        let name = client.upload(samples).await?;
        let request = client::dataset_request(&name, samples, options);
        (request, Some(name))
    };
    Ok((request, uploaded))
}

/// The request with all samples in it: classes as one-hot targets, which no dataset has.
fn tensors(
    samples: &Samples,
    head: Head,
    dtype: pb::Dtype,
) -> Result<pb::TrainBatchRequest, Failure> {
    let part = |rows: &[usize]| {
        let part = samples.part(rows);
        part.map_err(|error| Failure::failed(error.to_string()))
    };
    let (training, held_out) = (part(&samples.parts.train)?, part(&samples.parts.held_out)?);
    let request = client::tensor_request(&training, &held_out, head, dtype);
    request.map_err(Failure::usage)
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
        let report = runtime.block_on(with_client_on(None, None, &matches, async |server| {
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
