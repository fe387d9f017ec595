//! kill -9 during an upload leaves nothing half there, and during a run on a dataset loses no acknowledged step.

use std::fs;
use std::path::Path;

use backpropd::rpc::pb;
use bytes::Bytes;
use pb::create_dataset_request::Part;
use pb::dataset_service_client::DatasetServiceClient;
use pb::train_batch_response::Event;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::fixture::{Server, create_in, numbers, wide};
use crate::process::{Process, Setting};
use crate::random::Random;

const ROWS: usize = 2000;
const FEATURES: usize = 4;
const SESSION: &str = "sessions/lab";

fn header() -> pb::DatasetHeader {
    pb::DatasetHeader {
        session: SESSION.to_owned(),
        dataset_id: "rows".to_owned(),
        rows: ROWS as i64,
        features: FEATURES as i32,
        target_columns: 1,
        request_id: "upload".to_owned(),
        ..Default::default()
    }
}

fn messages() -> Vec<pb::CreateDatasetRequest> {
    let raw = |numbers: &[f64]| -> Bytes { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let (inputs, targets) = (numbers(ROWS * FEATURES, 1), numbers(ROWS, 2));
    let pieces = inputs.chunks(100 * FEATURES).zip(targets.chunks(100));
    let pieces = pieces.map(|(inputs, targets)| {
        Part::Rows(pb::DatasetPiece {
            inputs: raw(inputs),
            targets: raw(targets),
            labels: Vec::new(),
        })
    });
    let parts = std::iter::once(Part::Header(header())).chain(pieces);
    let message = |part| pb::CreateDatasetRequest { part: Some(part) };
    parts.map(message).collect()
}

async fn datasets(address: &str) -> DatasetServiceClient<Channel> {
    let client = DatasetServiceClient::connect(format!("http://{address}")).await;
    client.expect("it listens")
}

/// Stores the dataset `rows` in the session `lab`.
pub async fn upload(address: &str) -> pb::Dataset {
    let messages = tokio_stream::iter(messages());
    let reply = datasets(address).await.create_dataset(messages).await;
    let dataset = reply.expect("a good dataset").into_inner().dataset;
    dataset.expect("a dataset")
}

fn run(model: &str) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        model: model.to_owned(),
        dataset: Some(pb::DatasetRows {
            dataset: format!("{SESSION}/datasets/rows"),
            ..Default::default()
        }),
        epochs: 160,
        minibatch_size: 8,
        shuffle_seed: Some(3),
        learning_rate: Some(1e-3),
        request_id: "run".to_owned(),
        ..Default::default()
    }
}

/// The names in the session's folder.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join(SESSION)).expect("a folder");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

async fn create_session(address: &str) {
    let client =
        pb::session_service_client::SessionServiceClient::connect(format!("http://{address}"));
    let request = pb::CreateSessionRequest {
        session_id: "lab".to_owned(),
        ..Default::default()
    };
    let created = client
        .await
        .expect("it listens")
        .create_session(request)
        .await;
    created.expect("a new session");
}

#[tokio::test]
async fn a_server_killed_during_an_upload_has_nothing_of_it_and_takes_it_again() {
    let folder = TempDir::new().expect("a folder");
    let calm = Setting::default();
    let mut process = Process::start(folder.path(), &calm)
        .await
        .expect("it starts");
    create_session(&process.address).await;
    let (sender, receiver) = mpsc::channel(1);
    let mut client = datasets(&process.address).await;
    let call =
        tokio::spawn(async move { client.create_dataset(ReceiverStream::new(receiver)).await });
    for message in messages().into_iter().take(12) {
        sender.send(message).await.expect("it reads");
    }
    // The part is on disk before the server is killed.
    let is_part = |name: &String| name.ends_with(".part");
    while !files(folder.path()).iter().any(is_part) {
        tokio::task::yield_now().await;
    }
    process.child.kill().await.expect("it runs");
    call.await
        .expect("no panic")
        .expect_err("the server is gone");

    let process = Process::start(folder.path(), &calm)
        .await
        .expect("it starts");
    assert_eq!(files(folder.path()), ["session.json"]);
    let first = upload(&process.address).await;
    assert_eq!(upload(&process.address).await, first, "once there");
    assert_eq!(
        files(folder.path()),
        ["rows.dataset.safetensors", "session.json"]
    );
}

#[tokio::test]
async fn a_run_on_a_dataset_killed_at_random_ends_as_an_undisturbed_one() {
    let kills = std::env::var("CRASH_ROUNDS");
    let kills: u64 = kills.map_or(4, |count| count.parse().expect("a number"));
    let undisturbed = Server::start().await;
    let address = undisturbed.address.to_string();
    create_session(&address).await;
    upload(&address).await;
    let spec = wide();
    let model = create_in(&undisturbed, SESSION, spec.clone()).await;
    let model = model.expect("a good spec");
    let told = crate::fixture::run(&mut undisturbed.training().await, run(&model.name)).await;
    let expected = told.expect("it trains").completed().clone();

    let folder = TempDir::new().expect("a folder");
    let often = Setting {
        arguments: vec!["--commit-seconds".to_owned(), "1".to_owned()],
        ..Setting::default()
    };
    let mut process = Process::start(folder.path(), &often)
        .await
        .expect("it starts");
    create_session(&process.address).await;
    upload(&process.address).await;
    let id = model.name.rsplit('/').next().expect("an id");
    let request = pb::CreateModelRequest {
        session: SESSION.to_owned(),
        model_id: id.to_owned(),
        spec: Some(spec),
        ..Default::default()
    };
    let created = process.client().await.create_model(request).await;
    created.expect("a good spec");

    let mut random = Random(7);
    let mut resumed = 0;
    for round in 0.. {
        let reply = process.client().await.train_batch(run(&model.name)).await;
        let mut events = reply.expect("it goes on").into_inner();
        // After so many messages, or a moment later, in the middle of whatever it does.
        let mut left = 1 + random.below(60);
        let completed = loop {
            let message = events.message().await.expect("it trains");
            match message.expect("not over").event.expect("an event") {
                Event::Started(started) => resumed = resumed.max(started.resumed_steps),
                Event::Progress(_) if round < kills && left == 0 => break None,
                Event::Progress(_) | Event::HeldOut(_) => left = left.saturating_sub(1),
                Event::Completed(completed) => break Some(completed),
            }
        };
        if let Some(completed) = completed {
            assert_eq!(completed.weights_digest, expected.weights_digest);
            assert_eq!(completed.steps_done, expected.steps_done);
            break;
        }
        process.child.kill().await.expect("it runs");
        process = Process::start(folder.path(), &often)
            .await
            .expect("it starts");
    }
    println!("{kills} kills, resumed after up to {resumed} steps");
    process.child.kill().await.expect("it runs");
    let crashed = Process::start(folder.path(), &often)
        .await
        .expect("it starts");
    let request = pb::GetModelRequest {
        name: model.name.clone(),
    };
    let kept = crashed.client().await.get_model(request).await;
    let kept = kept
        .expect("it is there")
        .into_inner()
        .model
        .expect("a model");
    assert_eq!(kept.weights_digest, expected.weights_digest);
}
