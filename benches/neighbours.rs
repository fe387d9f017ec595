//! One client at its worst, another at work: `cargo bench --bench neighbours`, or `-- predict sessions` for some cases.
//!
//! Starts the program as a process of its own for each case. Another client's health checks and one-step runs are measured
//! beside two ordinary runs, then beside the client at its worst, on the same server. On loopback; at most 10 s a case besides the making of its models.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that meets the unexpected is to fail"
)]

#[allow(dead_code)] // Shared with the server's tests, which need more of it.
#[path = "../tests/server/fixture.rs"]
mod fixture;
#[allow(dead_code)] // Likewise.
#[path = "../tests/server/http2.rs"]
mod http2;
#[allow(dead_code)] // Likewise.
#[path = "../tests/crash/process.rs"]
mod process;

use std::future::Future;
use std::time::{Duration, Instant};

use backpropd::rpc::pb;
use fixture::{FOREVER, Sessions, Training, create, homework, layer, tensor, train};
use pb::grading_service_client::GradingServiceClient;
use pb::train_batch_response::Event;
use process::{Process, arguments};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// How long the other client is measured, twice a case.
const MEASURED: Duration = Duration::from_secs(3);

/// How long the worst has to unfold before that.
const UNFOLDS: Duration = Duration::from_millis(500);

/// How long the worst may take to make its models first.
const PREPARES: Duration = Duration::from_secs(30);

/// Says that the worst has its models, and begins.
type Ready = oneshot::Sender<()>;

struct Bench {
    process: Process,
    _folder: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_backpropd"));
        command.args(arguments(folder.path()));
        let process = Process::spawn(command).await.expect("it starts");
        Self {
            process,
            _folder: folder,
        }
    }

    fn uri(&self) -> String {
        format!("http://{}", self.process.address)
    }
}

/// What another client waited for, in milliseconds.
#[derive(Clone, Copy)]
struct Waits {
    health: (f64, f64),
    step: (f64, f64),
}

fn percentiles(took: &mut [f64]) -> (f64, f64) {
    took.sort_by(f64::total_cmp);
    match took.len() {
        0 => (f64::NAN, f64::NAN),
        count => (took[count / 2], took[count * 99 / 100]),
    }
}

/// Health checks and one-step runs, each on a connection of its own, for a while; a call without an answer waits until the
/// end.
async fn measure(bench: &Bench, model: &pb::Model) -> Waits {
    let until = Instant::now() + MEASURED;
    let checks = async {
        let channel = Endpoint::from_shared(bench.uri()).unwrap().connect_lazy();
        let mut client = HealthClient::new(channel);
        let mut took = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            let check = client.check(HealthCheckRequest::default());
            let _ = tokio::time::timeout_at(until.into(), check).await;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        percentiles(&mut took)
    };
    let steps = async {
        let channel = Endpoint::from_shared(bench.uri()).unwrap().connect_lazy();
        let mut client = Training::new(channel);
        let mut took = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            let step = step(&mut client, model);
            let _ = tokio::time::timeout_at(until.into(), step).await;
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        percentiles(&mut took)
    };
    let (health, step) = tokio::join!(checks, steps);
    Waits { health, step }
}

async fn step(client: &mut Training, model: &pb::Model) {
    let request = pb::TrainBatchRequest {
        durability: pb::Durability::Relaxed.into(),
        ..train(model, 1)
    };
    let Ok(reply) = client.train_batch(request).await else {
        return;
    };
    let mut stream = reply.into_inner();
    while let Ok(Some(message)) = stream.message().await {
        if matches!(message.event, Some(Event::Completed(_))) {
            return;
        }
    }
}

/// One case: what another client waits for beside two ordinary runs, and beside `worst`, which goes on until it is dropped.
async fn case<F: Future<Output = ()> + Send + 'static>(
    name: &str,
    worst: impl FnOnce(String, Training, Ready) -> F,
) {
    let bench = Bench::start().await;
    let mut client = bench.process.client().await;
    let model = create(&mut client, homework(), 1).await;
    let mut ordinary = JoinSet::new();
    for seed in 0..2 {
        let mut client = bench.process.client().await;
        let model = create(&mut client, homework(), seed).await;
        ordinary.spawn(async move {
            let request = pb::TrainBatchRequest {
                metrics_every: 1000,
                ..train(&model, FOREVER)
            };
            let mut stream = client.train_batch(request).await.unwrap().into_inner();
            while let Ok(Some(_)) = stream.message().await {}
        });
    }
    tokio::time::sleep(UNFOLDS).await;
    let before = measure(&bench, &model).await;
    ordinary.shutdown().await;
    let (ready, is_ready) = oneshot::channel();
    let worst = worst(bench.uri(), bench.process.client().await, ready);
    let mut greedy = JoinSet::new();
    greedy.spawn(worst);
    let _ = tokio::time::timeout(PREPARES, is_ready).await;
    tokio::time::sleep(UNFOLDS).await;
    let beside = measure(&bench, &model).await;
    greedy.shutdown().await;
    let more = beside.health.1 - before.health.1;
    let times = beside.step.1 / before.step.1;
    println!(
        "{name:<34} {:>7.2} {:>7.2} {:>7.2} {:>7.2}  {more:>+8.2} {:>7.2} {:>7.2} {:>7.2} {:>7.2}  {times:>6.2} ×",
        before.health.0,
        before.health.1,
        beside.health.0,
        beside.health.1,
        before.step.0,
        before.step.1,
        beside.step.0,
        beside.step.1,
    );
}

#[tokio::main]
async fn main() {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|other| other == name);
    println!(
        "{:<34} {:^41} {:^40}",
        "in milliseconds", "health check", "one-step TrainBatch"
    );
    println!(
        "{:<34} {:>15} {:>15}  {:>8} {:>15} {:>15}",
        "", "2 runs: p50 p99", "worst: p50 p99", "p99 more", "2 runs: p50 p99", "worst: p50 p99"
    );
    if is_chosen("grade") {
        case("GradeGradients flood", grade).await;
    }
    if is_chosen("frames") {
        case("one-byte frames", frames).await;
    }
    if is_chosen("replies") {
        case("replies that are never taken", replies).await;
    }
    if is_chosen("predict") {
        case("two huge Predict calls", predict).await;
    }
    if is_chosen("train") {
        case("four runs of huge steps", steps).await;
    }
    if is_chosen("answers") {
        case("25 costly answers, four times", answers).await;
    }
    if is_chosen("sessions") {
        case("400 sessions, 256 idle connections", sessions).await;
    }
}

/// Again and again, in so many calls at a time.
async fn again<F: Future<Output = ()> + Send + 'static>(calls: usize, call: impl Fn() -> F) {
    let mut running = JoinSet::new();
    loop {
        while running.len() < calls {
            running.spawn(call());
        }
        running.join_next().await;
    }
}

/// Gradients of 256 units × 256 inputs to be graded, each layer's once and 49,900 times.
async fn grade(uri: String, mut client: Training, ready: Ready) {
    let spec = pb::ModelSpec {
        input_size: 256,
        layers: vec![layer(256, pb::Activation::Tanh, true); 3],
        ..homework()
    };
    let model = create(&mut client, spec, 1).await;
    let numbers = |count: usize| fixture::numbers(count, 3);
    let named = |layer: i32, size: i32| pb::NamedTensor {
        quantity: pb::Quantity::DW.into(),
        layer,
        tensor: Some(tensor([size, size], &numbers((size * size) as usize))),
    };
    let request = move |submitted| pb::GradeGradientsRequest {
        target: Some(pb::grade_gradients_request::Target::Model(
            model.name.clone(),
        )),
        inputs: Some(tensor([32, 256], &fixture::numbers(32 * 256, 1))),
        targets: Some(tensor([32, 256], &fixture::numbers(32 * 256, 2))),
        submitted,
        ..Default::default()
    };
    let large = request((1..=3).map(|layer| named(layer, 256)).collect());
    let many = request(vec![named(1, 1); 49_900]);
    let channel = Endpoint::from_shared(uri).unwrap().connect_lazy();
    let client = GradingServiceClient::new(channel);
    let send = move || {
        let (mut client, large, many) = (client.clone(), large.clone(), many.clone());
        async move {
            let _ = client.grade_gradients(large).await;
            let _ = client.grade_gradients(many).await;
        }
    };
    let _ = ready.send(());
    again(8, send).await;
}

/// A connection that has said the preface and these settings.
async fn connection(uri: &str, settings: &[(u16, u32)]) -> Option<TcpStream> {
    let address = uri.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    hello.extend(http2::frame(http2::SETTINGS, 0, 0, &payload));
    hello.extend(http2::frame(http2::SETTINGS, 1, 0, &[]));
    stream.write_all(&hello).await.ok()?;
    Some(stream)
}

/// Messages of 16 MB announced on 20 streams of each of 8 connections, and sent a byte a frame.
async fn frames(uri: String, _: Training, ready: Ready) {
    let send = move || {
        let uri = uri.clone();
        async move {
            let Some(stream) = connection(&uri, &[]).await else {
                return;
            };
            let (mut from, mut to) = stream.into_split();
            let read = async { while from.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} };
            let write = async {
                let path = "/backprop.v1.TrainingService/Predict";
                for stream in 0..20_u32 {
                    let id = 2 * stream + 1;
                    let call = http2::call(path);
                    let mut begin = http2::frame(http2::HEADERS, http2::END_HEADERS, id, &call);
                    let header = http2::message_header(16 << 20);
                    begin.extend(http2::frame(http2::DATA, 0, id, &header));
                    to.write_all(&begin).await?;
                }
                let mut many = Vec::new();
                for stream in 0..20_u32 {
                    for _ in 0..50 {
                        many.extend(http2::frame(http2::DATA, 0, 2 * stream + 1, &[0]));
                    }
                }
                loop {
                    to.write_all(&many).await?;
                }
                #[allow(unreachable_code)]
                Ok::<(), std::io::Error>(())
            };
            tokio::select! {
                () = read => {}
                _ = write => {}
            }
        }
    };
    let _ = ready.send(());
    again(8, send).await;
}

/// 100 calls on each of 40 connections, whose replies have a window of 0.
async fn replies(uri: String, _: Training, ready: Ready) {
    let send = move || {
        let uri = uri.clone();
        async move {
            // SETTINGS_INITIAL_WINDOW_SIZE.
            let Some(mut stream) = connection(&uri, &[(4, 0)]).await else {
                return;
            };
            let path = "/backprop.v1.ServerService/GetServerInfo";
            for call in 0..100_u32 {
                let id = 2 * call + 1;
                let flags = http2::END_HEADERS;
                let mut frames = http2::frame(http2::HEADERS, flags, id, &http2::call(path));
                let empty = http2::message_header(0);
                frames.extend(http2::frame(http2::DATA, http2::END_STREAM, id, &empty));
                if stream.write_all(&frames).await.is_err() {
                    return;
                }
            }
            while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
        }
    };
    let _ = ready.send(());
    again(40, send).await;
}

/// 48 million parameters in FLOAT32.
fn huge() -> pb::ModelSpec {
    let layers = [4096, 4096, 4096, 3500, 1].map(|units| layer(units, pb::Activation::Relu, false));
    pb::ModelSpec {
        input_size: 16,
        layers: layers.to_vec(),
        compute: pb::Dtype::Float32.into(),
        ..homework()
    }
}

async fn predict(_: String, mut client: Training, ready: Ready) {
    let model = create(&mut client, huge(), 1).await;
    let request = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name)),
        inputs: Some(tensor([4000, 16], &vec![0.5; 16 * 4000])),
        ..Default::default()
    };
    let send = move || {
        let (mut client, request) = (client.clone(), request.clone());
        async move {
            let _ = client.predict(request).await;
        }
    };
    let _ = ready.send(());
    again(2, send).await;
}

async fn steps(_: String, mut client: Training, ready: Ready) {
    let spec = pb::ModelSpec {
        input_size: 64,
        layers: vec![layer(2048, pb::Activation::Tanh, true); 3],
        compute: pb::Dtype::Float32.into(),
        ..homework()
    };
    let mut models = Vec::new();
    for seed in 0..4 {
        models.push(create(&mut client, spec.clone(), seed).await);
    }
    let _ = ready.send(());
    let mut running = JoinSet::new();
    for model in models {
        let mut client = client.clone();
        running.spawn(async move {
            let request = pb::TrainBatchRequest {
                inputs: Some(tensor([1000, 64], &vec![0.5; 64 * 1000])),
                targets: Some(tensor([1000, 2048], &vec![0.1; 2048 * 1000])),
                durability: pb::Durability::Relaxed.into(),
                ..train(&model, FOREVER)
            };
            let mut stream = client.train_batch(request).await.unwrap().into_inner();
            while let Ok(Some(_)) = stream.message().await {}
        });
    }
    running.join_all().await;
}

async fn answers(uri: String, _: Training, ready: Ready) {
    let channel = Endpoint::from_shared(uri).unwrap().connect_lazy();
    let mut client = GradingServiceClient::new(channel);
    let list = client.list_assignments(pb::ListAssignmentsRequest::default());
    let list = list.await.unwrap().into_inner();
    let assignment = list.assignments[0].id.clone();
    let get = client.get_assignment(pb::GetAssignmentRequest {
        assignment: assignment.clone(),
    });
    let questions = get.await.unwrap().into_inner().questions;
    let sum = vec!["W^1 x^T x (W^1)^T W^1"; 60].join(" + ");
    let answers = questions.iter().take(25);
    let answers = answers.map(|question| (question.id.clone(), sum.clone()));
    let request = pb::GradeFormulasRequest {
        assignment,
        answers: answers.collect(),
        ..Default::default()
    };
    let send = move || {
        let (mut client, request) = (client.clone(), request.clone());
        async move {
            let _ = client.grade_formulas(request).await;
        }
    };
    let _ = ready.send(());
    again(4, send).await;
}

/// 256 idle connections, an endless run in each of 400 sessions, and as many CreateSession calls as there is time for.
async fn sessions(uri: String, mut client: Training, ready: Ready) {
    let mut idle = Vec::new();
    for _ in 0..256 {
        idle.push(connection(&uri, &[]).await);
    }
    let mut running = JoinSet::new();
    let mut streams = Vec::new();
    for connection in 0..8 {
        let channel = Endpoint::from_shared(uri.clone()).unwrap().connect_lazy();
        let mut own = Training::new(channel);
        for session in 0..50 {
            let model = create(&mut client, homework(), connection * 50 + session).await;
            let request = pb::TrainBatchRequest {
                metrics_every: 1000,
                ..train(&model, FOREVER)
            };
            if let Ok(reply) = own.train_batch(request).await {
                streams.push(reply.into_inner());
            }
        }
    }
    for mut stream in streams {
        running.spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
    }
    let channel = Endpoint::from_shared(uri).unwrap().connect_lazy();
    let client = Sessions::new(channel);
    let send = move || {
        let mut client = client.clone();
        async move {
            let _ = client
                .create_session(pb::CreateSessionRequest::default())
                .await;
        }
    };
    let _ = ready.send(());
    again(32, send).await;
}
