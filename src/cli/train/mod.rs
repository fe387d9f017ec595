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
use backpropd_datasets::{Dataset, Split};
use clap::{ArgMatches, Command};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use self::{
    client::{Client, Head},
    dataset::Samples,
    options::{Data, Options},
    progress::Progress,
    report::{Confusion, Epoch, Report},
};
use super::{Failure, connection::connect, serve};
use crate::{
    config::Config,
    server::{self, ServeError},
};

pub(super) const NAME: &str = "train";
/// Longest wait for the server to delete the session; after it, the session expires by itself.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn command() -> Command {
    options::command(NAME)
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let options = Options::from_matches(matches).map_err(Failure::usage)?;
    let dataset = dataset::load(&options).map_err(Failure::usage)?;
    let samples = samples(&dataset, &options)?;
    let head = Head::of(&samples.train.truth, options.loss).map_err(Failure::usage)?;
    let request = client::epoch_request(&samples.train, head, &options).map_err(Failure::usage)?;
    serve::runtime()?.block_on(with_server(&options, &samples, head, request))
}

fn samples(dataset: &Dataset, options: &Options) -> Result<Samples, Failure> {
    let split = Split::new(options.seed, options.test_fraction)
        .map_err(|violations| Failure::usage(violations.to_string()))?;
    let standardize = options.standardize && options.data != Data::Digits;
    dataset::split(dataset, split, standardize).map_err(|error| Failure::failed(error.to_string()))
}

async fn with_server(
    options: &Options,
    split: &Samples,
    head: Head,
    request: pb::TrainBatchRequest,
) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let embedded = match &options.server {
        Some(_) => None,
        None => Some(LocalServer::start().await?),
    };
    let server = match (&options.server, &embedded) {
        (Some(server), _) => server.clone(),
        (None, Some(embedded)) => embedded.address.clone(),
        (None, None) => unreachable!("a server is started where none is named"),
    };
    let result = async {
        let server = connect(&server).await?;
        let report = train(server, options, split, head, request, started).await?;
        publish(&report, options)
    }
    .await;
    if let Some(embedded) = embedded {
        embedded.stop().await?;
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// A server inside this process, on a free port.
struct LocalServer {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl LocalServer {
    async fn start() -> Result<Self, Failure> {
        let no_port = |error: io::Error| {
            Failure::failed(format!("cannot start a server on 127.0.0.1: {error}"))
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_port)?;
        let listen = listener.local_addr().map_err(no_port)?;
        let (stop, stopped) = oneshot::channel();
        let config = Config {
            listen,
            ..Config::default()
        };
        let task = tokio::spawn(server::serve(listener, config, async {
            // A dropped sender means stop as well.
            let _ = stopped.await;
        }));
        Ok(Self {
            address: format!("http://{listen}"),
            stop,
            task,
        })
    }

    async fn stop(self) -> Result<(), Failure> {
        // If the server has failed already, its task returns the error.
        let _ = self.stop.send(());
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::failed(format!(
                "the server inside this process failed: {error}"
            ))),
            Err(error) => Err(Failure::failed(format!(
                "the server inside this process panicked: {error}"
            ))),
        }
    }
}

async fn train(
    server: backpropd_client::Client,
    options: &Options,
    split: &Samples,
    head: Head,
    request: pb::TrainBatchRequest,
    started: Instant,
) -> Result<Report, Failure> {
    let rows = split.train.inputs.rows();
    let steps_per_epoch = rows.div_ceil(usize::try_from(options.batch_size).unwrap_or(1));
    let total_steps = u64::from(options.epochs) * steps_per_epoch as u64;
    let spec = client::spec(options, head, split.train.inputs.columns, total_steps);
    let client = Client::create(server, spec, options.seed).await?;
    let progress = Progress::new(options.epochs, total_steps, rows, options.quiet);
    let result = tokio::select! {
        result = run_epochs(&client, options, split, head, &request, &progress) => result,
        // The stream is dropped here, which stops the run after its step.
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    };
    progress.finish();
    // A session that cannot be deleted in time expires by itself; the result of the training comes first.
    let closed = tokio::time::timeout(PATIENCE, client.close()).await;
    let (epochs, outcome, outputs) = result?;
    closed.unwrap_or(Ok(()))?;
    Ok(Report {
        data: data_name(&options.data),
        train_samples: rows,
        held_out_samples: split.held_out.inputs.rows(),
        features: split.train.inputs.columns,
        parameters: client.model.parameter_count,
        confusion: Confusion::of(&outputs, &split.held_out.truth, head),
        epochs,
        digest: outcome.weights_digest,
        steps: outcome.step,
        total_seconds: started.elapsed().as_secs_f64(),
    })
}

/// Trains and evaluates each epoch; returns the epochs, the completion of the last one, and the last outputs.
async fn run_epochs(
    client: &Client,
    options: &Options,
    split: &Samples,
    head: Head,
    request: &pb::TrainBatchRequest,
    progress: &Progress,
) -> Result<(Vec<Epoch>, pb::Completed, dataset::Matrix), Failure> {
    let mut epochs = Vec::new();
    let mut last = None;
    for number in 1..=options.epochs {
        let begun = Instant::now();
        let (losses, completed) = run_epoch(client, options, request, number, progress).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let outputs = client
            .predict(&split.held_out.inputs, head, options.dtype)
            .await?;
        let epoch = Epoch {
            losses,
            held_out: report::quality(&outputs, &split.held_out.truth, head, &split.target_scale),
            seconds,
            computed_seconds: computed_seconds(&completed),
        };
        progress.epoch(number, &epoch);
        epochs.push(epoch);
        last = Some((completed, outputs));
    }
    let (completed, outputs) =
        last.ok_or_else(|| Failure::usage("--epochs: at least 1 is needed"))?;
    Ok((epochs, completed, outputs))
}

async fn run_epoch(
    client: &Client,
    options: &Options,
    request: &pb::TrainBatchRequest,
    number: u32,
    progress: &Progress,
) -> Result<(Vec<f64>, pb::Completed), Failure> {
    use pb::train_batch_response::Event;
    // Each epoch and each seed has its own order of samples.
    let shuffle_seed = options
        .seed
        .wrapping_mul(1_000_003)
        .wrapping_add(i64::from(number));
    let request = pb::TrainBatchRequest {
        shuffle_seed: Some(shuffle_seed),
        request_id: format!("epoch-{number}"),
        ..request.clone()
    };
    let mut run = client.train(request).await?;
    // By step: after a broken connection, steps that were not committed are reported again.
    let mut losses = BTreeMap::new();
    let mut completed = None;
    while let Some(event) = run.next().await? {
        match event {
            Event::Progress(batch) => {
                losses.extend(batch.steps.iter().map(|step| (step.step, step.loss)));
                if let Some(step) = batch.steps.last() {
                    progress.show(number, step);
                }
            }
            Event::Completed(event) => completed = Some(event),
            Event::Started(_) => {}
        }
    }
    let completed = completed.ok_or_else(|| client::incomplete("TrainBatch", "last event"))?;
    if losses.is_empty() {
        // The connection broke before any step was reported, and the server kept only the outcome.
        losses.insert(completed.step, completed.final_loss);
    }
    Ok((losses.into_values().collect(), completed))
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
            .map(|confusion| confusion.table() + "\n\n");
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_learn_to_read_digits() {
        let matches = command().get_matches_from([NAME, "--quiet"]);
        let options = Options::from_matches(&matches).expect("the defaults");
        let dataset = dataset::load(&options).expect("built in");
        let split = samples(&dataset, &options).expect("in memory");
        let head = Head::of(&split.train.truth, None).expect("classes");
        let request = client::epoch_request(&split.train, head, &options).expect("small enough");
        let runtime = serve::runtime().expect("threads");
        let report = runtime.block_on(async {
            let embedded = LocalServer::start().await.expect("a free port");
            let server = connect(&embedded.address).await.expect("it listens");
            let report = train(server, &options, &split, head, request, Instant::now()).await;
            embedded.stop().await.expect("a graceful end");
            report.expect("trained")
        });
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
