//! What an acknowledgement costs beside the disk: `cargo bench --bench commits`, or `-- alone together large` for some.
//!
//! Sixty-four clients send one durable step after the other, each to a 4-3-2-1 model of its own. Against that stands a
//! bare loop: sixty-four threads write a file of the same size, fsync it, rename it and fsync its folder. The two take
//! turns on one disk; what counts is the ratio. An argument with a slash in it is another program to be measured.
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

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backpropd::service::pb;
use fixture::{Training, homework, layer, numbers, run, tensor, train};
use futures_util::future::join_all;
use pb::session_service_client::SessionServiceClient;
use process::{Process, arguments};
use tempfile::TempDir;

const CLIENTS: usize = 64;
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_millis(1_500);

/// Where the models lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sessions {
    /// Each in a session of its own.
    Alone,
    /// All in one.
    Together,
}

#[tokio::main]
async fn main() {
    let (programs, chosen): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .partition(|word| word.contains('/'));
    let program = programs
        .first()
        .map_or(env!("CARGO_BIN_EXE_backpropd"), String::as_str);
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|other| other == name);
    if is_chosen("alone") {
        small(program, Sessions::Alone).await;
    }
    if is_chosen("together") {
        small(program, Sessions::Together).await;
    }
    if is_chosen("large") {
        large(program).await;
    }
}

async fn start(program: &str, folder: &TempDir) -> Process {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments(folder.path()));
    Process::spawn(command).await.expect("it starts")
}

async fn small(program: &str, sessions: Sessions) {
    let what = match sessions {
        Sessions::Alone => "64 models in 64 sessions",
        Sessions::Together => "64 models in one session",
    };
    println!("{what}, one durable step after the other");
    let folder = tempfile::tempdir().unwrap();
    let process = start(program, &folder).await;
    let mut clients = Vec::new();
    for at in 0..CLIENTS {
        let mut client = process.client().await;
        let session = match sessions {
            Sessions::Alone => format!("s{at}"),
            Sessions::Together => "s".to_owned(),
        };
        let request = pb::CreateSessionRequest {
            session_id: session.clone(),
            request_id: "s".to_owned(),
            ..Default::default()
        };
        let url = format!("http://{}", process.address);
        let mut service = SessionServiceClient::connect(url).await.unwrap();
        service.create_session(request).await.unwrap();
        let request = pb::CreateModelRequest {
            session: format!("sessions/{session}"),
            spec: Some(homework()),
            ..Default::default()
        };
        let made = client.create_model(request).await.unwrap().into_inner();
        clients.push((client, made.model.unwrap()));
    }
    let size = size_of_a_snapshot(folder.path());
    let bare = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut written) = (Vec::new(), Vec::new());
    // Each warms what it needs first.
    served(&clients).await;
    bare_loop(bare.path(), size, sessions);
    for _ in 0..ROUNDS {
        acknowledged.push(served(&clients).await);
        written.push(bare_loop(bare.path(), size, sessions));
    }
    let (acknowledged, written) = (median(&mut acknowledged), median(&mut written));
    println!(
        "  {acknowledged:.0} acknowledgements/s; the bare loop, {size} bytes a file: {written:.0}/s; {:.2} ×",
        acknowledged / written
    );
}

fn size_of_a_snapshot(folder: &Path) -> usize {
    let session = fs::read_dir(folder.join("sessions")).unwrap();
    let files = session.flat_map(|session| fs::read_dir(session.unwrap().path()).unwrap());
    let sizes = files
        .map(|file| file.unwrap())
        .filter(|file| {
            file.path()
                .extension()
                .is_some_and(|it| it == "safetensors")
        })
        .map(|file| file.metadata().unwrap().len());
    usize::try_from(sizes.max().unwrap()).unwrap()
}

/// Acknowledged steps a second.
async fn served(clients: &[(Training, pb::Model)]) -> f64 {
    let began = Instant::now();
    let loops = clients.iter().map(|(client, model)| {
        let (mut client, request) = (client.clone(), train(model, 1));
        tokio::spawn(async move {
            let mut done = 0_usize;
            while began.elapsed() < TIME {
                let told = run(&mut client, request.clone()).await.unwrap();
                let end = told.end.unwrap();
                assert_eq!(end.durable_step, Some(end.step));
                done += 1;
            }
            done
        })
    });
    let done: usize = join_all(loops).await.into_iter().map(Result::unwrap).sum();
    done as f64 / began.elapsed().as_secs_f64()
}

/// Files a second.
fn bare_loop(folder: &Path, size: usize, sessions: Sessions) -> f64 {
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let bytes = vec![7; size];
    let began = Instant::now();
    std::thread::scope(|scope| {
        for at in 0..CLIENTS {
            let own = match sessions {
                Sessions::Alone => folder.join(format!("s{at}")),
                Sessions::Together => folder.join("s"),
            };
            fs::create_dir_all(&own).unwrap();
            let (stop, done, bytes) = (&stop, &done, &bytes);
            scope.spawn(move || {
                let path = own.join(format!("m{at}"));
                let temporary = path.with_extension("tmp");
                while !stop.load(Ordering::Relaxed) {
                    let mut file = File::create(&temporary).unwrap();
                    file.write_all(bytes).unwrap();
                    file.sync_all().unwrap();
                    fs::rename(&temporary, &path).unwrap();
                    File::open(&own).unwrap().sync_all().unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
    });
    done.into_inner() as f64 / began.elapsed().as_secs_f64()
}

/// 784-1024-1024-10 with Adam, 22 MB, and 64 samples: a model that is much larger than what one step is told.
async fn large(program: &str) {
    println!("784-1024-1024-10, FLOAT32, Adam; one durable step on 64 samples after the other");
    let folder = tempfile::tempdir().unwrap();
    let process = start(program, &folder).await;
    let mut client = process.client().await;
    let adam = pb::model_spec::Optimizer::Adam(pb::Adam::default());
    let spec = pb::ModelSpec {
        input_size: 784,
        layers: [1024, 1024, 10]
            .map(|units| layer(units, pb::Activation::Unspecified, true))
            .to_vec(),
        optimizer: Some(adam),
        compute: pb::Dtype::Float32.into(),
        ..Default::default()
    };
    let model = fixture::create(&mut client, spec, 1).await;
    let inputs = numbers(64 * 784, 1);
    let raw = inputs
        .iter()
        .flat_map(|&number| (number as f32).to_le_bytes());
    let request = pb::TrainBatchRequest {
        inputs: Some(pb::Tensor {
            shape: vec![64, 784],
            raw: raw.collect::<Vec<u8>>().into(),
            dtype: pb::Dtype::Float32.into(),
            ..Default::default()
        }),
        targets: Some(tensor([64, 10], &numbers(640, 2))),
        ..train(&model, 1)
    };
    let pid = process.child.id().unwrap();
    let (mut durable, mut relaxed, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for durability in [pb::Durability::Durable, pb::Durability::Relaxed] {
            let mut request = request.clone();
            request.durability = durability.into();
            let (began, before) = (Instant::now(), bytes_written(pid));
            let mut done = 0;
            while began.elapsed() < TIME {
                run(&mut client, request.clone())
                    .await
                    .unwrap()
                    .end
                    .unwrap();
                done += 1;
            }
            let rate = f64::from(done) / began.elapsed().as_secs_f64();
            if durability == pb::Durability::Durable {
                bytes.push((bytes_written(pid) - before) / f64::from(done));
                durable.push(rate);
            } else {
                relaxed.push(rate);
                // What is acknowledged from memory is written down before the next round.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    let (durable, relaxed) = (median(&mut durable), median(&mut relaxed));
    println!(
        "  {durable:.0} acknowledgements/s, {:.1} MB written for each; {relaxed:.0}/s from memory; {:.2} ×",
        median(&mut bytes) / 1e6,
        durable / relaxed
    );
}

fn bytes_written(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("wchar:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
