//! The Rust client, and the command `train`, on a server that restarts in the middle of a run: every step is taken once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use backpropd_client::pb::{self, train_batch_response::Event, watch_model_response};
use backpropd_client::{Client, Run, Watch};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::Code;

use crate::fixture::{numbers, refused, tensor, wide};
use crate::process::Process;

/// No other test listens here, so the port stays free while the server is down.
const LISTEN: &str = "127.0.0.2:0";

/// A server that starts again on the same port and folder.
struct Server {
    /// Without one, models are in memory only.
    folder: Option<TempDir>,
    process: Process,
}

impl Server {
    async fn durable() -> Self {
        let folder = TempDir::new().expect("a folder");
        Self {
            process: start(Some(folder.path()), LISTEN).await,
            folder: Some(folder),
        }
    }

    async fn ephemeral() -> Self {
        Self {
            process: start(None, LISTEN).await,
            folder: None,
        }
    }

    async fn client(&self) -> Client {
        let client = Client::connect(&self.process.address).await;
        client.expect("the server listens")
    }

    /// Ends the process with `signal`, and starts another.
    async fn restart(&mut self, signal: Signal) {
        self.end(signal).await;
        self.start_again().await;
    }

    async fn end(&mut self, signal: Signal) {
        let id = self.process.child.id().expect("the process runs");
        let id = Pid::from_raw(id.cast_signed()).expect("a process id");
        kill_process(id, signal).expect("the process is a child");
        self.process.child.wait().await.expect("the process ends");
    }

    async fn start_again(&mut self) {
        let folder = self.folder.as_ref().map(TempDir::path);
        self.process = start(folder, &self.process.address).await;
    }
}

async fn start(folder: Option<&Path>, listen: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backpropd"));
    // A run is committed at its end and by a shutdown, and not in between.
    let seldom = ["--commit-seconds", "86400"];
    command.args(["serve", "--log", "error", "--listen", listen]);
    match folder {
        Some(folder) => command.arg("--data-dir").arg(folder).args(seldom),
        None => command.arg("--ephemeral"),
    };
    Process::spawn(command).await.expect("the server starts")
}

const STEPS: i32 = 1000;

/// A run that takes longer than a test needs to interrupt it.
fn long_run(model: &pb::Model) -> pb::TrainBatchRequest {
    const ROWS: i32 = 64;
    pb::TrainBatchRequest {
        model: model.name.clone(),
        inputs: Some(tensor([ROWS, 4], &numbers(4 * ROWS as usize, 1))),
        targets: Some(tensor([ROWS, 1], &numbers(ROWS as usize, 2))),
        steps: STEPS,
        request_id: "run".to_owned(),
        ..Default::default()
    }
}

async fn create(client: &Client) -> pb::Model {
    let request = pb::CreateModelRequest {
        spec: Some(wide()),
        seed: 3,
        ..Default::default()
    };
    let reply = client.create_model(request).await.expect("a valid request");
    reply.model.expect("a model")
}

/// The bits of the loss of each reported step.
type Losses = BTreeMap<i64, u64>;

/// Adds an event's losses. A step that is reported twice has the same loss both times.
fn note(losses: &mut Losses, event: &Event) {
    if let Event::Progress(progress) = event {
        for step in &progress.steps {
            let loss = step.loss.to_bits();
            let before = losses.insert(step.step, loss);
            assert!(before.is_none_or(|before| before == loss), "{step:?}");
        }
    }
}

/// Reads up to the first metrics after the next `Started`, which it returns.
async fn begin(run: &mut Run, losses: &mut Losses) -> pb::Started {
    let mut begun = None;
    loop {
        let event = run.next().await.expect("the run continues");
        let event = event.expect("the run is not over");
        note(losses, &event);
        match (event, begun) {
            (Event::Started(started), _) => begun = Some(started),
            (Event::Progress(_), Some(begun)) => return begun,
            (Event::Progress(_), None) | (Event::HeldOut(_), _) => {}
            (Event::Completed(_), _) => panic!("the run ended before the restart"),
        }
    }
}

/// Reads up to the end.
async fn finish(mut run: Run, losses: &mut Losses) -> pb::Completed {
    loop {
        let event = run.next().await.expect("the run continues");
        let event = event.expect("the run is not over");
        note(losses, &event);
        if let Event::Completed(completed) = event {
            return completed;
        }
    }
}

#[tokio::test]
async fn a_run_takes_every_step_once_over_restarts() {
    let mut server = Server::durable().await;
    let client = server.client().await;
    let model = create(&client).await;
    let mut losses = Losses::new();
    let run = client.train_batch(long_run(&model)).await;
    let mut run = run.expect("a valid request");
    let first = begin(&mut run, &mut losses).await;
    assert_eq!((first.step, first.resumed_steps), (0, 0));

    // A shutdown commits the steps so far.
    let (second, ()) = tokio::join!(begin(&mut run, &mut losses), server.restart(Signal::TERM));
    let committed = second.resumed_steps;
    assert!((1..i64::from(STEPS)).contains(&committed), "{committed}");
    assert_eq!(second.step, committed);

    // A kill takes back those after the last commit.
    let (third, ()) = tokio::join!(begin(&mut run, &mut losses), server.restart(Signal::KILL));
    assert_eq!((third.step, third.resumed_steps), (committed, committed));

    let completed = finish(run, &mut losses).await;
    let all = i64::from(STEPS);
    assert_eq!((completed.step, completed.steps_done), (all, all));
    assert_eq!(completed.durable_step, Some(all));

    let undisturbed = create(&client).await;
    let run = client.train_batch(long_run(&undisturbed)).await;
    let mut expected = Losses::new();
    let whole = finish(run.expect("a valid request"), &mut expected).await;
    assert!(expected.keys().copied().eq(1..=all), "no metric is dropped");
    assert_eq!(losses, expected);
    assert_eq!(completed.weights_digest, whole.weights_digest);
    assert_eq!(completed.final_loss, whole.final_loss);
}

#[tokio::test]
async fn a_run_on_a_server_without_a_folder_ends_with_its_model() {
    let mut server = Server::ephemeral().await;
    let client = server.client().await;
    let model = create(&client).await;
    let run = client.train_batch(long_run(&model)).await;
    let mut run = run.expect("a valid request");
    begin(&mut run, &mut Losses::new()).await;
    let (end, ()) = tokio::join!(run.completed(), server.restart(Signal::KILL));
    refused(&end.expect_err("a lost model"), Code::NotFound, "NOT_FOUND");
}

/// Reads up to the next event of this kind.
async fn watch_for<V>(
    watch: &mut Watch,
    mut kind: impl FnMut(watch_model_response::Event) -> Option<V>,
) -> V {
    loop {
        let event = watch.next().await.expect("the watch continues");
        if let Some(value) = kind(event.expect("the model is not deleted")) {
            return value;
        }
    }
}

#[tokio::test]
async fn a_watch_continues_over_restarts() {
    use watch_model_response::Event;
    let mut server = Server::durable().await;
    let client = server.client().await;
    let model = create(&client).await;
    let request = pb::WatchModelRequest {
        model: model.name.clone(),
        metrics_every: 0,
    };
    let mut watch = client.watch_model(request).await.expect("a valid request");
    let model_of = |event| match event {
        Event::Model(model) => Some(model.step),
        Event::Started(_) | Event::Progress(_) | Event::HeldOut(_) | Event::Completed(_) => None,
    };
    let step_of = |event| match event {
        Event::Progress(progress) => progress.steps.last().map(|step| step.step),
        Event::Model(_) | Event::Started(_) | Event::HeldOut(_) | Event::Completed(_) => None,
    };
    assert_eq!(watch_for(&mut watch, model_of).await, 0);
    let run = client.train_batch(long_run(&model)).await;
    let run = tokio::spawn(run.expect("a valid request").completed());

    for signal in [Signal::TERM, Signal::KILL] {
        let before = watch_for(&mut watch, step_of).await;
        let next = async {
            let model = watch_for(&mut watch, model_of).await;
            (model, watch_for(&mut watch, step_of).await)
        };
        let ((model, after), ()) = tokio::join!(next, server.restart(signal));
        // A shutdown commits the steps so far; a kill takes back those after. The run goes on while the model is read, so
        // that the metrics of the step that it shows may follow.
        assert!(model >= 1 && after >= model, "{before}, {model}, {after}");
    }

    let seen = watch_for(&mut watch, |event| match event {
        Event::Completed(completed) => Some(completed),
        Event::Model(_) | Event::Started(_) | Event::Progress(_) | Event::HeldOut(_) => None,
    });
    let (seen, completed) = tokio::join!(seen, run);
    let completed = completed.expect("no panic").expect("the run continues");
    assert_eq!(seen.step, i64::from(STEPS));
    assert_eq!(seen.weights_digest, completed.weights_digest);
}

/// `backpropd train` on the built-in digits.
fn train_command(server: &Server) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backpropd"));
    command.args(["train", "--json", "--server", &server.process.address]);
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = piped.kill_on_drop(true).spawn();
    spawned.expect("the program starts")
}

/// The digest of the trained weights.
async fn trained_digest(command: Child) -> String {
    let output = command.wait_with_output().await.expect("the program ends");
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["weights_digest"].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn the_train_command_continues_over_restarts() {
    let mut server = Server::durable().await;
    let mut command = train_command(&server);
    let stderr = command.stderr.take().expect("piped");
    let mut lines = BufReader::new(stderr).lines();
    for (epoch, signal) in [("2", Signal::KILL), ("5", Signal::TERM)] {
        loop {
            let line = lines.next_line().await.expect("text");
            let line = line.expect("the training is not over");
            if line.split_whitespace().nth(1) == Some(epoch) {
                break;
            }
        }
        server.end(signal).await;
        let ended = command.try_wait().expect("a child");
        assert!(ended.is_none(), "the training ended before the restart");
        server.start_again().await;
    }
    let digest = trained_digest(command).await;
    assert_eq!(digest, trained_digest(train_command(&server)).await);
}
