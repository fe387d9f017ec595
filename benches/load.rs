//! The server under load, faults and malice: `cargo bench --bench load`, or `-- flood class` for some scenarios.
//!
//! Starts the program as a process of its own for each scenario, on a data folder of its own, loads it from here, and
//! prints what came of it. Ratios compare two measurements of one server in one run.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that meets the unexpected is to fail"
)]

#[allow(dead_code)] // Shared with the server's tests, which need more of it.
#[path = "../tests/server/fixture.rs"]
mod fixture;
#[allow(dead_code)] // Likewise.
#[path = "../tests/crash/process.rs"]
mod process;

use std::time::{Duration, Instant};

use backpropd::rpc::pb;
use fixture::{FOREVER, Training, create, homework, now, train};
use futures_util::future::join_all;
use pb::train_batch_response::Event;
use process::{Process, arguments};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

const CALLS: usize = 4_000;

#[tokio::main]
async fn main() {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|other| other == name);
    if is_chosen("sessions") {
        sessions().await;
    }
    if is_chosen("flood") {
        flood().await;
    }
    if is_chosen("stalled") {
        stalled().await;
    }
    if is_chosen("class") {
        class().await;
    }
    if is_chosen("abuse") {
        abuse().await;
    }
    if is_chosen("stop") {
        stop().await;
    }
}

struct Bench {
    process: Process,
    folder: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Self::process(&folder).await;
        Self { process, folder }
    }

    async fn process(folder: &TempDir) -> Process {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_backpropd"));
        command
            .args(arguments(folder.path()))
            .args(["--max-models", "100000"])
            .args(["--max-sessions-per-address", "20000"])
            .args(["--max-models-per-address", "100000"]);
        Process::spawn(command).await.expect("it starts")
    }

    /// Resident memory, in MB.
    fn memory(&self) -> f64 {
        let pid = self.process.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kb / 1e3
    }

    async fn connect(&self) -> Training {
        self.process.client().await
    }
}

/// The 50th and the 99th percentile of Predict on one model, in microseconds.
async fn latency(client: &Training, models: &[pb::Model]) -> (f64, f64) {
    let mut took = Vec::with_capacity(CALLS);
    let mut client = client.clone();
    for call in 0..CALLS {
        let model = models[call * 7919 % models.len()].name.clone();
        let request = pb::PredictRequest {
            target: Some(pb::predict_request::Target::Model(model)),
            inputs: Some(fixture::inputs()),
            ..Default::default()
        };
        let began = Instant::now();
        client.predict(request).await.expect("it answers");
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    percentiles(&mut took)
}

fn percentiles(took: &mut [f64]) -> (f64, f64) {
    took.sort_by(f64::total_cmp);
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

async fn many_models(client: &Training, count: usize) -> Vec<pb::Model> {
    let mut models = Vec::with_capacity(count);
    for first in (0..count).step_by(64) {
        let made = (first..count.min(first + 64)).map(|seed| {
            let mut client = client.clone();
            async move { create(&mut client, homework(), seed as i64).await }
        });
        models.extend(join_all(made).await);
    }
    models
}

async fn sessions() {
    println!("sessions, each with a 4-3-2-1 model, durable; Predict on one after the other");
    let mut bench = Bench::start().await;
    let empty = bench.memory();
    let mut models = Vec::new();
    for count in [1_000, 10_000] {
        let client = bench.connect().await;
        models.extend(many_models(&client, count - models.len()).await);
        latency(&client, &models).await;
        let few = latency(&client, &models[..10]).await;
        let many = latency(&client, &models).await;
        println!(
            "  {count} sessions: p50 {:.0} µs, p99 {:.0} µs: {:.2} × that of 10",
            many.0,
            many.1,
            many.1 / few.1
        );
        bench.process.child.kill().await.unwrap();
        let began = Instant::now();
        bench.process = Bench::process(&bench.folder).await;
        now(&mut bench.connect().await, &models[count - 1]).await;
        let took = began.elapsed().as_secs_f64();
        let client = bench.connect().await;
        latency(&client, &models).await;
        println!(
            "    after kill -9 it answers again in {took:.2} s, with {:.1} MB ({empty:.1} MB without sessions)",
            bench.memory()
        );
    }
}

/// Streams of runs that go on for ever, of one session, whose readers read.
async fn endless(client: &mut Training, model: &pb::Model, streams: usize) -> (usize, usize) {
    let session = model.name.split("/models/").next().unwrap().to_owned();
    let (mut begun, mut refused) = (0, 0);
    for _ in 0..streams {
        let request = pb::CreateModelRequest {
            session: session.clone(),
            spec: Some(homework()),
            ..Default::default()
        };
        // A session has 64 models; further runs wait for one of them.
        let model = match client.create_model(request).await {
            Ok(reply) => reply.into_inner().model.unwrap(),
            Err(_) => model.clone(),
        };
        let request = pb::TrainBatchRequest {
            metrics_every: 1000,
            ..train(&model, FOREVER)
        };
        let mut client = client.clone();
        let first = tokio::time::timeout(Duration::from_millis(200), client.train_batch(request));
        match first.await {
            Ok(Ok(reply)) => {
                begun += 1;
                let mut stream = reply.into_inner();
                tokio::spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
            }
            Ok(Err(status)) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                refused += 1;
            }
            // It waits for its model's turn, and is gone with its call.
            Err(_) => {}
        }
    }
    (begun, refused)
}

/// The 50th and the 99th percentile of a one-step TrainBatch, in microseconds.
async fn step_latency(client: &Training, model: &pb::Model) -> (f64, f64) {
    let mut client = client.clone();
    let mut took = Vec::new();
    for _ in 0..CALLS / 8 {
        let request = pb::TrainBatchRequest {
            durability: pb::Durability::Relaxed.into(),
            ..train(model, 1)
        };
        let began = Instant::now();
        let mut stream = client.train_batch(request).await.unwrap().into_inner();
        while let Some(message) = stream.message().await.unwrap() {
            if matches!(message.event, Some(Event::Completed(_))) {
                took.push(began.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    percentiles(&mut took)
}

async fn flood() {
    println!(
        "one session floods with 200 streams of endless runs; calls of another session meanwhile"
    );
    let bench = Bench::start().await;
    let client = bench.connect().await;
    let models = many_models(&client, 10).await;
    latency(&client, &models).await;
    let (alone, step_alone) = (
        latency(&client, &models).await,
        step_latency(&client, &models[0]).await,
    );
    // As many processes of one run each are what any fair machine would have to share.
    let mut one = bench.connect().await;
    let own = create(&mut one, homework(), 1).await;
    endless(&mut one.clone(), &own, 2).await;
    let (two, step_two) = (
        latency(&client, &models).await,
        step_latency(&client, &models[0]).await,
    );
    let mut flooders = Vec::new();
    for _ in 0..4 {
        flooders.push(bench.connect().await);
    }
    let common = create(&mut flooders[0], homework(), 1).await;
    let (mut begun, mut refused) = (0, 0);
    for flooder in &mut flooders {
        let (more, less) = endless(flooder, &common, 50).await;
        begun += more;
        refused += less;
    }
    let (flooded, step_flooded) = (
        latency(&client, &models).await,
        step_latency(&client, &models[0]).await,
    );
    println!("  {begun} of 200 streams run, {refused} were refused");
    let row = |what: &str, alone: (f64, f64), two: (f64, f64), flooded: (f64, f64)| {
        println!(
            "  {what}: p99 {:.0} µs alone, {:.0} µs beside 2 runs, {:.0} µs beside the flood: {:.2} × that beside 2 runs",
            alone.1,
            two.1,
            flooded.1,
            flooded.1 / two.1
        );
    };
    row("Predict", alone, two, flooded);
    row("TrainBatch, one step", step_alone, step_two, step_flooded);
}

async fn stalled() {
    const STREAMS: usize = 500;
    const STEPS: i32 = 50_000;
    println!("{STREAMS} streams of {STEPS} steps with every step's metrics, which nobody reads");
    let bench = Bench::start().await;
    let mut client = bench.connect().await;
    let models = many_models(&client, STREAMS).await;
    let mut quiet = Vec::new();
    for model in &models {
        quiet.push(pb::TrainBatchRequest {
            durability: pb::Durability::Relaxed.into(),
            ..train(model, STEPS)
        });
    }
    let mut took = Vec::new();
    for reads in [true, false] {
        let before = bench.memory();
        let began = Instant::now();
        let mut held = Vec::new();
        for (at, request) in quiet.iter().enumerate() {
            if at % 100 == 0 {
                client = bench.connect().await;
            }
            let mut stream = client
                .train_batch(request.clone())
                .await
                .unwrap()
                .into_inner();
            if reads {
                tokio::spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
            } else {
                held.push(stream);
            }
        }
        let mut look = bench.connect().await;
        let steps = i64::from(STEPS) * if reads { 1 } else { 2 };
        for model in &models {
            while now(&mut look, model).await.step < steps {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        took.push(began.elapsed().as_secs_f64());
        if !reads {
            let each = (bench.memory() - before) / STREAMS as f64;
            println!("  memory for each stalled stream: {:.2} MB", each);
        }
    }
    println!(
        "  all trained to their end in {:.1} s; {:.1} s with readers that read: {:.2} ×",
        took[1],
        took[0],
        took[1] / took[0]
    );
}

async fn class() {
    const STUDENTS: usize = 300;
    const JOBS: usize = 5;
    println!("{STUDENTS} students send {JOBS} jobs each at once, 200 steps, durable");
    let bench = Bench::start().await;
    let url = format!("http://{}", bench.process.address);
    let channel = tonic::transport::Endpoint::from_shared(url)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut health = HealthClient::new(channel);
    let watched = tokio::spawn(async move {
        loop {
            let reply = health
                .check(HealthCheckRequest::default())
                .await
                .expect("it answers");
            assert_eq!(reply.into_inner().status, 1, "health flapped");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let began = Instant::now();
    let students = (0..STUDENTS).map(|student| {
        let address = bench.process.address.clone();
        tokio::spawn(async move {
            let mut client = Training::connect(format!("http://{address}"))
                .await
                .unwrap();
            let model = create(&mut client, homework(), student as i64).await;
            let jobs = (0..JOBS).map(|job| {
                let mut client = client.clone();
                let request = pb::TrainBatchRequest {
                    request_id: format!("job {job}"),
                    metrics_every: 100,
                    ..train(&model, 200)
                };
                async move {
                    match fixture::run(&mut client, request).await {
                        Ok(told) => told.end.map(|_| ()),
                        Err(status) => Err(status),
                    }
                }
            });
            let (mut done, mut refused) = (0, 0);
            for job in join_all(jobs).await {
                match job {
                    Ok(()) => done += 1,
                    Err(status) => {
                        let details = status.get_error_details();
                        assert!(
                            details.retry_info().is_some(),
                            "refused without a time: {status}"
                        );
                        refused += 1;
                    }
                }
            }
            (model, done, refused)
        })
    });
    let mut all = Vec::new();
    for student in join_all(students).await {
        all.push(student.unwrap());
    }
    let took = began.elapsed().as_secs_f64();
    assert!(!watched.is_finished(), "health flapped");
    watched.abort();
    let (mut done, mut refused) = (0, 0);
    let mut client = bench.connect().await;
    for (model, jobs, others) in &all {
        assert_eq!(
            now(&mut client, model).await.step,
            200 * jobs,
            "{}",
            model.name
        );
        done += jobs;
        refused += others;
    }
    println!(
        "  {done} acknowledged and there, {refused} refused with a time to come back, in {took:.1} s; health never flapped"
    );
}

async fn abuse() {
    println!("peers that flood with frames, against another client's Predict");
    let bench = Bench::start().await;
    let client = bench.connect().await;
    let models = many_models(&client, 10).await;
    latency(&client, &models).await;
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let ping = b"\0\0\x08\x06\0\0\0\0\0abcdefgh".repeat(1000);
    let settings = b"\0\0\0\x04\0\0\0\0\0".repeat(1000);
    let mut reset = Vec::new();
    for at in 0..1000_u32 {
        let id = (2 * at + 1).to_be_bytes();
        reset.extend(b"\0\0\x03\x01\x05");
        reset.extend(id);
        reset.extend([0x83, 0x86, 0x84]);
        reset.extend(b"\0\0\x04\x03\0");
        reset.extend(id);
        reset.extend([0, 0, 0, 8]);
    }
    for (what, frames) in [
        ("pings", ping),
        ("settings", settings),
        ("resets", reset),
        ("silence", Vec::new()),
    ] {
        let alone = latency(&client, &models).await;
        let peers: Vec<_> = (0..if frames.is_empty() { 1000 } else { 2 })
            .map(|_| {
                let (address, hello, frames) =
                    (bench.process.address.clone(), hello.clone(), frames.clone());
                tokio::spawn(async move {
                    loop {
                        let Ok(mut stream) = TcpStream::connect(&address).await else {
                            continue;
                        };
                        if frames.is_empty() {
                            std::future::pending::<()>().await;
                        }
                        let _ = stream.write_all(&hello).await;
                        while stream.write_all(&frames).await.is_ok() {}
                    }
                })
            })
            .collect();
        let beside = latency(&client, &models).await;
        for peer in peers {
            peer.abort();
        }
        println!(
            "  {what}: p99 {:.0} µs, {:.0} µs alone: {:.2} ×; {:.0} MB",
            beside.1,
            alone.1,
            beside.1 / alone.1,
            bench.memory()
        );
    }
    latency(&client, &models).await;
}

async fn stop() {
    println!("SIGTERM under 100 streams, a silent socket and a stalled reader");
    let mut bench = Bench::start().await;
    let client = bench.connect().await;
    let models = many_models(&client, 100).await;
    let _silent = TcpStream::connect(&bench.process.address).await.unwrap();
    let (mut streams, mut stalled) = (Vec::new(), None);
    for (at, model) in models.iter().enumerate() {
        let request = pb::TrainBatchRequest {
            request_id: "long".to_owned(),
            metrics_every: if at == 0 { 1 } else { 1000 },
            ..train(model, FOREVER)
        };
        // The first one's reader never reads.
        let mut own = if at == 0 {
            bench.connect().await
        } else {
            client.clone()
        };
        let mut stream = own.train_batch(request).await.unwrap().into_inner();
        fixture::begin(&mut stream).await;
        if at == 0 {
            stalled = Some(stream);
            continue;
        }
        streams.push(tokio::spawn(async move {
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("a run without an end"),
                    Err(status) => break status,
                }
            }
        }));
    }
    let pid = bench.process.child.id().unwrap();
    let began = Instant::now();
    std::process::Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .unwrap();
    let mut steps = Vec::new();
    for status in join_all(streams).await {
        let status = status.unwrap();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        steps.push(fixture::fact(&status, "step").parse::<i64>().unwrap());
    }
    let told = began.elapsed().as_secs_f64();
    let exit = bench.process.child.wait().await.unwrap();
    drop(stalled);
    println!(
        "  99 streams told their step in {told:.2} s, exit {exit} after {:.2} s",
        began.elapsed().as_secs_f64()
    );
    bench.process = Bench::process(&bench.folder).await;
    let mut client = bench.connect().await;
    for (model, step) in models[1..].iter().zip(steps) {
        let request = pb::TrainBatchRequest {
            request_id: "long".to_owned(),
            metrics_every: 1000,
            ..train(model, FOREVER)
        };
        let mut stream = client.train_batch(request).await.unwrap().into_inner();
        assert_eq!(
            fixture::begin(&mut stream).await.resumed_steps,
            step,
            "{}",
            model.name
        );
    }
    println!("  all 99 resumed at exactly that step after a restart");
}
