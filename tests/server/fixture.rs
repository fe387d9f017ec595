//! A server of one's own, the homework's model with exact parameters, and what replies and refusals say.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use backpropd::config::Config;
use backpropd::rpc::pb;
use backpropd::server::{Clock, ServeError, open_with_clock};
use backpropd::training::Now;
use pb::server_service_client::ServerServiceClient;
use pb::session_service_client::SessionServiceClient;
use pb::train_batch_response::Event;
use pb::training_service_client::TrainingServiceClient;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

pub type Training = TrainingServiceClient<Channel>;
pub type Sessions = SessionServiceClient<Channel>;

/// Whatever takes longer than this does not happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// More than the interval at which a server looks for what has expired, is idle, or is due in the log.
const ROUND: Duration = Duration::from_millis(1100);

/// Stops the timers of this thread until it is dropped, at the latest with the future that holds it.
struct Frozen;

impl Frozen {
    fn new() -> Self {
        tokio::time::pause();
        Self
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

/// Has the timers of this test, and of the servers on its thread, run ahead until each server has looked at its sessions,
/// its models and its log. Only a test on one thread can do this; a `Clock` is not affected.
pub async fn let_it_look() {
    // The first round may have begun before what the test did last.
    for _ in 0..2 {
        let frozen = Frozen::new();
        tokio::time::advance(ROUND).await;
        drop(frozen);
        // What has become due runs before the test goes on.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

/// How much faster timers run in [`hurried`].
const HURRY: u32 = 4;

/// Runs `work` while the timers of this test, and of the servers on its thread, run [`HURRY`] times as fast: for limits
/// that are reached after seconds of traffic. Only a test on one thread can do this.
pub async fn hurried<V>(work: impl Future<Output = V>) -> V {
    const TICK: Duration = Duration::from_millis(2);
    let hurry = async {
        loop {
            tokio::time::sleep(TICK).await;
            let _frozen = Frozen::new();
            tokio::time::advance(TICK * (HURRY - 1)).await;
        }
    };
    tokio::select! {
        value = work => value,
        never = hurry => never,
    }
}

/// Longer than any test waits for.
pub const FOREVER: i32 = 100_000_000;

pub struct Server {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    /// A server with the defaults and two compute threads.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_clock(Clock::of_the_machine(), change).await
    }

    /// A server that reads the time from this clock.
    pub async fn with_clock(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            threads: 2,
            drain_seconds: 1,
            ..Config::default()
        };
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async {
            let stopped = async {
                // A test that ends without asking for a shutdown drops the sender.
                let _ = stopped.await;
            };
            open_with_clock(config, clock)?
                .serve(listener, stopped)
                .await
        });
        Self {
            address,
            stop,
            served,
        }
    }

    /// A server that keeps its models in this folder.
    pub async fn on(folder: &TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let data_dir = folder.path().to_str().expect("text").to_owned();
        Self::with(|config| {
            config.data_dir = data_dir;
            change(config);
        })
        .await
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URI");
        endpoint.connect().await.expect("the server listens")
    }

    /// A client with a connection of its own.
    pub async fn training(&self) -> Training {
        let client = TrainingServiceClient::new(self.channel().await);
        client.max_decoding_message_size(usize::MAX)
    }

    pub async fn sessions(&self) -> Sessions {
        SessionServiceClient::new(self.channel().await)
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// It has refused to start.
    pub async fn started(&mut self) -> Result<(), ServeError> {
        let uri = format!("http://{}", self.address);
        let answers = async {
            loop {
                if let Ok(mut client) = ServerServiceClient::connect(uri.clone()).await
                    && client
                        .get_server_info(pb::GetServerInfoRequest::default())
                        .await
                        .is_ok()
                {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut self.served => ended.expect("it does not panic"),
            () = answers => Ok(()),
        }
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        let stopped = self.shut_down().await;
        stopped.expect("it returns").expect("it stops well");
    }

    /// Asks for a shutdown; the task ends when `serve` has returned.
    pub fn shut_down(self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.send(()).expect("the server runs");
        self.served
    }
}

/// Clocks that a test sets: seconds by which the date is off, and by which the uptime is ahead.
#[derive(Clone, Default)]
pub struct Hands {
    date: Arc<AtomicI64>,
    uptime: Arc<AtomicU64>,
}

impl Hands {
    pub fn clock(&self) -> Clock {
        let (hands, start) = (self.clone(), Instant::now());
        Clock::from_fn(move || {
            let ahead = Duration::from_secs(hands.uptime.load(Ordering::Relaxed));
            let off = hands.date.load(Ordering::Relaxed);
            let by = Duration::from_secs(off.unsigned_abs());
            let date = if off < 0 {
                SystemTime::now().checked_sub(by)
            } else {
                SystemTime::now().checked_add(by)
            };
            Now {
                uptime: start.elapsed() + ahead,
                date: date.expect("a date"),
            }
        })
    }

    pub fn set_date(&self, off: i64) {
        self.date.store(off, Ordering::Relaxed);
    }

    pub fn pass(&self, seconds: u64) {
        self.uptime.fetch_add(seconds, Ordering::Relaxed);
    }

    /// A server that keeps its models in this folder and reads this clock; it has started.
    pub async fn server(&self, folder: &TempDir) -> Server {
        let data_dir = folder.path().to_str().expect("text").to_owned();
        let mut server =
            Server::with_clock(self.clock(), |config| config.data_dir = data_dir).await;
        server.started().await.expect("it starts");
        server
    }
}

pub fn tensor(shape: [i32; 2], values: &[f64]) -> pb::Tensor {
    pb::Tensor {
        shape: shape.to_vec(),
        values: values.to_vec(),
        ..Default::default()
    }
}

pub fn layer(units: i32, activation: pb::Activation, bias: bool) -> pb::Layer {
    pb::Layer {
        units,
        activation: activation.into(),
        bias,
        ..Default::default()
    }
}

/// 4-3-2-1, ReLU, no bias, half squared error: the homework's network.
pub fn homework() -> pb::ModelSpec {
    let layers = [3, 2, 1].map(|units| layer(units, pb::Activation::Unspecified, false));
    pb::ModelSpec {
        input_size: 4,
        layers: layers.to_vec(),
        ..Default::default()
    }
}

/// The same with Adam, which remembers more than the weights.
pub fn homework_with_adam() -> pb::ModelSpec {
    pb::ModelSpec {
        optimizer: Some(pb::model_spec::Optimizer::Adam(pb::Adam::default())),
        ..homework()
    }
}

/// 4-128-128-1 with Adam, 0.4 MB: a model that is much larger than the batches it is trained on.
pub fn wide() -> pb::ModelSpec {
    let layers = [128, 128, 1].map(|units| layer(units, pb::Activation::Unspecified, true));
    pb::ModelSpec {
        layers: layers.to_vec(),
        ..homework_with_adam()
    }
}

pub fn homework_parameters() -> Vec<pb::LayerParameters> {
    let w1 = [0.1, 0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, -0.9, 1.0, 0.2, 0.1];
    let layers = [
        tensor([3, 4], &w1),
        tensor([2, 3], &[0.3, -0.2, 0.5, 0.7, 0.1, -0.4]),
        tensor([1, 2], &[0.6, -0.8]),
    ];
    let only_weights = |weights| pb::LayerParameters {
        weights: Some(weights),
        bias: None,
    };
    layers.map(only_weights).to_vec()
}

/// A gradient of the homework's network.
pub fn dw_of_the_homework() -> Vec<pb::GradientSet> {
    let tensors = (1..).zip(homework_parameters());
    let tensors = tensors.map(|(layer, parameters)| pb::NamedTensor {
        quantity: pb::Quantity::DW.into(),
        layer,
        tensor: parameters.weights,
    });
    vec![pb::GradientSet {
        tensors: tensors.collect(),
        weight: None,
    }]
}

/// What the methods answer that stop, list and take steps.
pub async fn refusals_of_steps(client: &mut Training, model: &str) -> Vec<Status> {
    let stop = pb::StopTrainingRequest {
        model: model.to_owned(),
        ..Default::default()
    };
    let list = pb::ListRunsRequest {
        model: model.to_owned(),
    };
    let get = pb::GetRunRequest {
        name: format!("{model}/runs/r1"),
    };
    let apply = pb::ApplyGradientsRequest {
        model: model.to_owned(),
        gradients: dw_of_the_homework(),
        ..Default::default()
    };
    let copy = pb::CopyModelRequest {
        model: model.to_owned(),
        ..Default::default()
    };
    let update = pb::UpdateModelRequest {
        model: model.to_owned(),
        spec: Some(pb::ModelSpec::default()),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["clip_norm".to_owned()],
        }),
        ..Default::default()
    };
    vec![
        client.update_model(update).await.expect_err("refused"),
        client.copy_model(copy).await.expect_err("refused"),
        client.apply_gradients(apply).await.expect_err("refused"),
        client.stop_training(stop).await.expect_err("refused"),
        client.list_runs(list).await.expect_err("refused"),
        client.get_run(get).await.expect_err("refused"),
    ]
}

/// Two samples for the homework's network.
pub fn inputs() -> pb::Tensor {
    tensor([2, 4], &[1.0, 2.0, 3.0, 4.0, 0.5, -1.0, 1.5, 2.5])
}

pub fn targets() -> pb::Tensor {
    tensor([2, 1], &[1.0, -0.5])
}

/// `steps` steps on the two samples.
pub fn train(model: &pb::Model, steps: i32) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        model: model.name.clone(),
        inputs: Some(inputs()),
        targets: Some(targets()),
        steps,
        learning_rate: Some(1e-3),
        ..Default::default()
    }
}

/// Numbers between −1 and 1 that look like nothing in particular, the same for the same `seed`.
pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f64 / (1_u64 << 23) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A model in a session of its own.
pub async fn create(client: &mut Training, spec: pb::ModelSpec, seed: i64) -> pb::Model {
    let request = pb::CreateModelRequest {
        spec: Some(spec),
        seed,
        ..Default::default()
    };
    let reply = client.create_model(request).await.expect("a good request");
    reply.into_inner().model.expect("a model")
}

/// A model in this session.
pub async fn create_in(
    server: &Server,
    session: &str,
    spec: pb::ModelSpec,
) -> Result<pb::Model, Status> {
    let request = pb::CreateModelRequest {
        session: session.to_owned(),
        spec: Some(spec),
        ..Default::default()
    };
    let reply = server.training().await.create_model(request).await?;
    Ok(reply.into_inner().model.expect("a model"))
}

/// A session of this id; its name.
pub async fn create_session(server: &Server, id: &str) -> Result<String, Status> {
    let request = pb::CreateSessionRequest {
        session_id: id.to_owned(),
        ..Default::default()
    };
    let reply = server.sessions().await.create_session(request).await?;
    Ok(reply.into_inner().session.expect("a session").name)
}

/// The homework's model in a session of its own.
pub async fn create_homework(client: &mut Training) -> pb::Model {
    let request = pb::CreateModelRequest {
        spec: Some(homework()),
        parameters: homework_parameters(),
        ..Default::default()
    };
    let reply = client.create_model(request).await.expect("a good request");
    reply.into_inner().model.expect("a model")
}

pub async fn get(client: &mut Training, name: &str) -> Result<pb::Model, Status> {
    let name = name.to_owned();
    let reply = client.get_model(pb::GetModelRequest { name }).await?;
    Ok(reply.into_inner().model.expect("a model"))
}

/// The model as it is now.
pub async fn now(client: &mut Training, model: &pb::Model) -> pb::Model {
    get(client, &model.name).await.expect("it is there")
}

/// Nothing has touched the model's weights.
pub async fn assert_unchanged(client: &mut Training, before: &pb::Model) {
    let after = now(client, before).await;
    assert_eq!(after.step, before.step);
    assert_eq!(after.weights_digest, before.weights_digest);
}

/// What a TrainBatch stream said, up to its end.
#[derive(Debug)]
pub struct Told {
    pub started: pb::Started,
    pub steps: Vec<pb::StepMetrics>,
    pub end: Result<pb::Completed, Status>,
}

impl Told {
    pub fn completed(&self) -> &pb::Completed {
        self.end.as_ref().expect("the run finished")
    }

    pub fn error(&self) -> &Status {
        self.end.as_ref().expect_err("the run was ended")
    }
}

/// The next message of a stream; `None` at its end.
pub async fn next<V>(stream: &mut Streaming<V>) -> Result<Option<V>, Status> {
    let next = tokio::time::timeout(PATIENCE, stream.message());
    next.await.expect("the stream goes on or ends")
}

/// Runs and listens to the end.
pub async fn run(client: &mut Training, request: pb::TrainBatchRequest) -> Result<Told, Status> {
    let mut stream = client.train_batch(request).await?.into_inner();
    let started = begin(&mut stream).await;
    Ok(listen(started, stream).await)
}

/// The first message of a run.
pub async fn begin(stream: &mut Streaming<pb::TrainBatchResponse>) -> pb::Started {
    let first = next(stream).await.expect("a beginning").expect("a message");
    match first.event {
        Some(Event::Started(started)) => started,
        other => panic!("the first event is Started, not {other:?}"),
    }
}

/// A run under way, at least one step in.
pub async fn under_way(
    client: &mut Training,
    request: impl tonic::IntoRequest<pb::TrainBatchRequest>,
) -> (pb::Started, Streaming<pb::TrainBatchResponse>) {
    let reply = client.train_batch(request).await.expect("a good request");
    let mut stream = reply.into_inner();
    let started = begin(&mut stream).await;
    let event = next(&mut stream).await.expect("steps").expect("a message");
    assert!(matches!(event.event, Some(Event::Progress(_))));
    (started, stream)
}

/// The rest of a run.
pub async fn listen(started: pb::Started, mut stream: Streaming<pb::TrainBatchResponse>) -> Told {
    let mut steps = Vec::new();
    let end = loop {
        match next(&mut stream).await {
            Err(status) => break Err(status),
            Ok(None) => panic!("the stream ended without an end"),
            Ok(Some(message)) => match message.event.expect("an event") {
                Event::Started(again) => panic!("a second beginning: {again:?}"),
                Event::Progress(progress) => steps.extend(progress.steps),
                Event::HeldOut(_) => {}
                Event::Completed(completed) => break Ok(completed),
            },
        }
    };
    if end.is_ok() {
        assert!(next(&mut stream).await.expect("a clean end").is_none());
    }
    Told {
        started,
        steps,
        end,
    }
}

/// The pause between two questions of [`until`]: without one, a test that waits takes a core from the others.
const POLL_EVERY: Duration = Duration::from_millis(5);

/// Asks until `ready` says so; for conditions that no event announces.
pub async fn until(mut ready: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !ready().await {
            tokio::time::sleep(POLL_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .expect("it comes about");
}

/// The details of a refusal, which has this code and this reason.
#[track_caller]
pub fn refused(status: &Status, code: Code, reason: &str) -> ErrorDetails {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().expect("every error has an ErrorInfo");
    assert_eq!(info.reason, reason, "{status:?}");
    assert_eq!(info.domain, "backpropd");
    assert!(!status.message().is_empty());
    details
}

/// The fields that a refusal names, in order.
#[track_caller]
pub fn bad_fields(status: &Status) -> Vec<String> {
    let details = refused(status, Code::InvalidArgument, "INVALID_REQUEST");
    let bad = details.bad_request().expect("a BadRequest");
    for violation in &bad.field_violations {
        assert!(violation.description.contains("given"), "{violation:?}");
        assert!(violation.description.contains("allowed"), "{violation:?}");
    }
    let fields = bad.field_violations.iter().map(|v| v.field.clone());
    fields.collect()
}

/// A fact of a refusal's metadata.
#[track_caller]
pub fn fact(status: &Status, key: &str) -> String {
    let details = status.get_error_details();
    let info = details.error_info().expect("every error has an ErrorInfo");
    let fact = info.metadata.get(key);
    fact.unwrap_or_else(|| panic!("{key} is missing: {info:?}"))
        .clone()
}

/// A run was ended after as many steps as the model has taken, and said so.
pub async fn assert_committed(client: &mut Training, model: &pb::Model, status: &Status) {
    let after = now(client, model).await;
    assert_eq!(fact(status, "step"), after.step.to_string());
    let done = after.step - model.step;
    assert_eq!(fact(status, "steps_done"), done.to_string());
    assert!(done > 0, "steps were under way");
}

/// A folder with the same files, for a server of its own.
pub fn copy_of(folder: &TempDir) -> TempDir {
    let copy = TempDir::new().expect("a folder");
    copy_files(folder.path(), copy.path());
    copy
}

/// Copies what is in a folder.
pub fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it is there");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy_files(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}
