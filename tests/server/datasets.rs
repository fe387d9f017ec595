//! Datasets: uploaded, shared, trained on, deleted.

use std::fs;
use std::path::Path;

use backpropd::config::Config;
use backpropd::rpc::pb;
use bytes::Bytes;
use pb::create_dataset_request::Part;
use pb::dataset_rows::Selection;
use pb::dataset_service_client::DatasetServiceClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::fixture::{
    FOREVER, Server, Training, assert_committed, bad_fields, copy_of, create_in, create_session,
    get, layer, listen, numbers, refused, run, tensor, under_way, until, wide,
};

const ROWS: usize = 50;
const FEATURES: usize = 4;
const SESSION: &str = "sessions/lab";

type Client = DatasetServiceClient<Channel>;

async fn client(server: &Server) -> Client {
    DatasetServiceClient::new(server.channel().await)
}

/// 4-48-48-1 with a loss on two classes.
fn spec(compute: pb::Dtype) -> pb::ModelSpec {
    pb::ModelSpec {
        loss: pb::Loss::BinaryCrossEntropy.into(),
        compute: compute.into(),
        ..wide()
    }
}

/// 4-6-1 for numbers.
fn regression(compute: pb::Dtype) -> pb::ModelSpec {
    let layers = [6, 1].map(|units| layer(units, pb::Activation::Tanh, true));
    pb::ModelSpec {
        input_size: FEATURES as i32,
        layers: layers.to_vec(),
        compute: compute.into(),
        ..Default::default()
    }
}

async fn model_in(server: &Server, session: &str, spec: pb::ModelSpec) -> pb::Model {
    create_in(server, session, spec).await.expect("a good spec")
}

fn inputs() -> Vec<f64> {
    // Halves of float32 numbers: every type holds them.
    let numbers = numbers(ROWS * FEATURES, 3);
    numbers.iter().map(|x| f64::from(*x as f32)).collect()
}

fn targets() -> Vec<f64> {
    let numbers = numbers(ROWS, 4);
    numbers.iter().map(|x| f64::from(*x as f32)).collect()
}

fn labels() -> Vec<i32> {
    (0..ROWS as i32).map(|row| row * 7 % 2).collect()
}

fn raw(numbers: &[f64], dtype: pb::Dtype) -> Bytes {
    match dtype {
        pb::Dtype::Float32 => numbers
            .iter()
            .flat_map(|x| (*x as f32).to_le_bytes())
            .collect(),
        pb::Dtype::Float64 | pb::Dtype::Unspecified => {
            numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
        }
    }
}

fn header(id: &str) -> pb::DatasetHeader {
    pb::DatasetHeader {
        session: SESSION.to_owned(),
        dataset_id: id.to_owned(),
        rows: ROWS as i64,
        features: FEATURES as i32,
        classes: 2,
        dtype: pb::Dtype::Float32.into(),
        ..Default::default()
    }
}

fn message(part: Part) -> pb::CreateDatasetRequest {
    pb::CreateDatasetRequest { part: Some(part) }
}

/// The header and all rows in pieces of 7.
fn messages(header: &pb::DatasetHeader) -> Vec<pb::CreateDatasetRequest> {
    let (inputs, targets, labels) = (inputs(), targets(), labels());
    let mut messages = vec![message(Part::Header(header.clone()))];
    for from in (0..ROWS).step_by(7) {
        let to = (from + 7).min(ROWS);
        let mut rows = pb::DatasetPiece {
            inputs: raw(&inputs[from * FEATURES..to * FEATURES], header.dtype()),
            ..Default::default()
        };
        if header.target_columns > 0 {
            rows.targets = raw(&targets[from..to], header.dtype());
        } else {
            rows.labels = labels[from..to].to_vec();
        }
        messages.push(message(Part::Rows(rows)));
    }
    messages
}

async fn send(
    client: &mut Client,
    messages: Vec<pb::CreateDatasetRequest>,
) -> Result<pb::Dataset, Status> {
    let reply = client.create_dataset(tokio_stream::iter(messages)).await?;
    Ok(reply.into_inner().dataset.expect("a dataset"))
}

async fn upload(client: &mut Client, header: &pb::DatasetHeader) -> pb::Dataset {
    let sent = send(client, messages(header)).await;
    sent.expect("a good dataset")
}

async fn listed(client: &mut Client, session: &str) -> Vec<pb::Dataset> {
    let request = pb::ListDatasetsRequest {
        session: session.to_owned(),
        ..Default::default()
    };
    let reply = client.list_datasets(request).await.expect("listed");
    reply.into_inner().datasets
}

async fn list(client: &mut Client, session: &str) -> Vec<String> {
    let datasets = listed(client, session).await.into_iter();
    datasets.map(|dataset| dataset.name).collect()
}

fn rows_of(dataset: &pb::Dataset, selection: Option<Selection>) -> pb::DatasetRows {
    pb::DatasetRows {
        dataset: dataset.name.clone(),
        selection,
        standardize: false,
    }
}

/// Ten epochs of shuffled mini-batches on these rows.
fn on(model: &pb::Model, rows: pb::DatasetRows) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        model: model.name.clone(),
        dataset: Some(rows),
        epochs: 10,
        minibatch_size: 8,
        shuffle_seed: Some(5),
        learning_rate: Some(0.05),
        ..Default::default()
    }
}

/// The same on the rows themselves.
fn on_sent(
    model: &pb::Model,
    rows: std::ops::Range<usize>,
    classes: bool,
) -> pb::TrainBatchRequest {
    let count = rows.len() as i32;
    let values = &inputs()[rows.start * FEATURES..rows.end * FEATURES];
    pb::TrainBatchRequest {
        inputs: Some(tensor([count, FEATURES as i32], values)),
        targets: (!classes).then(|| tensor([count, 1], &targets()[rows.clone()])),
        labels: if classes {
            labels()[rows].to_vec()
        } else {
            Vec::new()
        },
        dataset: None,
        ..on(model, pb::DatasetRows::default())
    }
}

async fn digest_of(client: &mut Training, request: pb::TrainBatchRequest) -> String {
    let told = run(client, request).await.expect("it trains");
    told.completed().weights_digest.clone()
}

#[tokio::test]
async fn a_run_on_a_dataset_has_the_bits_of_a_run_on_its_rows() {
    let folder = TempDir::new().expect("a folder");
    for server in [Server::start().await, Server::on(&folder, |_| ()).await] {
        create_session(&server, "lab").await.expect("a session");
        let (mut datasets, mut training) = (client(&server).await, server.training().await);
        for dtype in [pb::Dtype::Float32, pb::Dtype::Float64] {
            let labelled = pb::DatasetHeader {
                dtype: dtype.into(),
                ..header("labels")
            };
            let numbered = pb::DatasetHeader {
                dataset_id: "targets".to_owned(),
                classes: 0,
                target_columns: 1,
                ..labelled.clone()
            };
            for (header, spec) in [(labelled, spec as fn(_) -> _), (numbered, regression)] {
                let dataset = upload(&mut datasets, &header).await;
                assert_eq!((dataset.rows, dataset.dtype()), (ROWS as i64, dtype));
                for compute in [pb::Dtype::Float32, pb::Dtype::Float64] {
                    let range = pb::RowRange {
                        start: 10,
                        end: Some(43),
                    };
                    for (selection, rows) in
                        [(None, 0..ROWS), (Some(Selection::Range(range)), 10..43)]
                    {
                        let one = model_in(&server, SESSION, spec(compute)).await;
                        let other = model_in(&server, SESSION, spec(compute)).await;
                        let classes = header.classes > 0;
                        let named = on(&one, rows_of(&dataset, selection));
                        let named = digest_of(&mut training, named).await;
                        let sent = on_sent(&other, rows, classes);
                        let sent = digest_of(&mut training, sent).await;
                        assert_eq!(named, sent, "{dtype:?} {compute:?} {selection:?}");
                    }
                }
                let name = dataset.name;
                let request = pb::DeleteDatasetRequest { name };
                datasets.delete_dataset(request).await.expect("deleted");
            }
        }
        assert!(list(&mut datasets, SESSION).await.is_empty());
    }
}

#[tokio::test]
async fn gradients_on_rows_of_a_dataset_are_those_of_the_rows() {
    let server = Server::start().await;
    create_session(&server, "lab").await.expect("a session");
    let (mut datasets, mut training) = (client(&server).await, server.training().await);
    let dataset = upload(&mut datasets, &header("labels")).await;
    let model = model_in(&server, SESSION, spec(pb::Dtype::Float64)).await;
    let range = pb::RowRange {
        start: 3,
        end: Some(9),
    };
    let sent = on_sent(&model, 3..9, true);
    let sent = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        inputs: sent.inputs,
        labels: sent.labels,
        ..Default::default()
    };
    let named = pb::GradientsRequest {
        inputs: None,
        labels: Vec::new(),
        dataset: Some(rows_of(&dataset, Some(Selection::Range(range)))),
        ..sent.clone()
    };
    let mut replies = Vec::new();
    for request in [sent, named] {
        let reply = training.gradients(request).await.expect("a good request");
        replies.push(pb::GradientsResponse {
            timings: None,
            ..reply.into_inner()
        });
    }
    assert_eq!(replies[0], replies[1]);
}

#[tokio::test]
async fn evaluate_and_explain_on_rows_of_a_dataset_answer_as_for_the_rows() {
    let server = Server::start().await;
    create_session(&server, "lab").await.expect("a session");
    let (mut datasets, mut training) = (client(&server).await, server.training().await);
    let dataset = upload(&mut datasets, &header("labels")).await;
    let model = model_in(&server, SESSION, spec(pb::Dtype::Float64)).await;
    let rows = rows_of(&dataset, None);
    let sent = on_sent(&model, 0..ROWS, true);

    let by_rows = pb::EvaluateRequest {
        target: Some(pb::evaluate_request::Target::Model(model.name.clone())),
        inputs: sent.inputs.clone(),
        labels: sent.labels.clone(),
        confusion_matrix: true,
        per_sample_loss: true,
        encoding: pb::TensorEncoding::Values.into(),
        ..Default::default()
    };
    let by_name = pb::EvaluateRequest {
        inputs: None,
        labels: Vec::new(),
        dataset: Some(rows.clone()),
        ..by_rows.clone()
    };
    let mut replies = Vec::new();
    for request in [by_rows.clone(), by_name.clone()] {
        let reply = training.evaluate(request).await.expect("a good request");
        replies.push(pb::EvaluateResponse {
            timings: None,
            ..reply.into_inner()
        });
    }
    assert_eq!(replies[0], replies[1]);
    let both = pb::EvaluateRequest {
        dataset: by_name.dataset,
        ..by_rows
    };
    let refused = training.evaluate(both).await.expect_err("rows and a name");
    assert_eq!(bad_fields(&refused), ["inputs", "labels"]);

    let by_rows = pb::ExplainRequest {
        target: Some(pb::explain_request::Target::Model(model.name.clone())),
        inputs: sent.inputs,
        labels: sent.labels,
        quantity: pb::Quantity::DW.into(),
        layer: 2,
        row: 3,
        column: 5,
        ..Default::default()
    };
    let by_name = pb::ExplainRequest {
        inputs: None,
        labels: Vec::new(),
        dataset: Some(rows),
        ..by_rows.clone()
    };
    let mut replies = Vec::new();
    for request in [by_rows, by_name] {
        let reply = training.explain(request).await.expect("a good request");
        replies.push(pb::ExplainResponse {
            timings: None,
            ..reply.into_inner()
        });
    }
    assert_eq!(replies[0], replies[1]);
}

#[tokio::test]
async fn the_parts_of_a_split_are_disjoint_and_make_the_whole() {
    let server = Server::start().await;
    let mut training = server.training().await;
    create_session(&server, "lab").await.expect("a session");
    let digits = pb::Dataset {
        name: "datasets/digits".to_owned(),
        ..Default::default()
    };
    let layers = [layer(10, pb::Activation::Linear, true)];
    let softmax = pb::ModelSpec {
        input_size: 64,
        layers: layers.to_vec(),
        loss: pb::Loss::CrossEntropy.into(),
        ..Default::default()
    };
    let model = model_in(&server, SESSION, softmax).await;
    let mut sizes = Vec::new();
    for part in [pb::SplitPart::Training, pb::SplitPart::HeldOut] {
        let split = pb::Split {
            seed: 1,
            part: part.into(),
            ..Default::default()
        };
        let request = pb::GradientsRequest {
            target: Some(pb::gradients_request::Target::Model(model.name.clone())),
            include: vec![pb::Quantity::X.into()],
            dataset: Some(rows_of(&digits, Some(Selection::Split(split)))),
            ..Default::default()
        };
        let reply = training.gradients(request).await.expect("a good request");
        sizes.push(reply.into_inner().batch_size);
    }
    assert_eq!(sizes, [1438, 359]);
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let server = Server::start().await;
    create_session(&server, "lab").await.expect("a session");
    let (mut datasets, mut training) = (client(&server).await, server.training().await);

    let bad = pb::DatasetHeader {
        session: "lab".to_owned(),
        dataset_id: "Big".to_owned(),
        rows: -1,
        features: -2,
        class_names: vec!["a".to_owned()],
        dtype: 9,
        request_id: "x".repeat(129),
        ..header("m")
    };
    let refused = send(&mut datasets, vec![message(Part::Header(bad))]).await;
    let mut fields = bad_fields(&refused.expect_err("all of it is bad"));
    fields.sort();
    let expected = [
        "header.class_names",
        "header.dataset_id",
        "header.dtype",
        "header.features",
        "header.request_id",
        "header.rows",
        "header.session",
    ];
    assert_eq!(fields, expected);

    let no_header = messages(&header("m"))[1..].to_vec();
    let refused = send(&mut datasets, no_header).await;
    assert_eq!(bad_fields(&refused.expect_err("no header")), ["header"]);
    let refused = send(&mut datasets, Vec::new()).await;
    assert_eq!(bad_fields(&refused.expect_err("nothing")), ["header"]);
    let mut two_headers = messages(&header("m"));
    two_headers.insert(2, two_headers[0].clone());
    let refused = send(&mut datasets, two_headers).await;
    assert_eq!(bad_fields(&refused.expect_err("two headers")), ["rows"]);

    let dataset = upload(&mut datasets, &header("m")).await;
    let model = model_in(&server, SESSION, spec(pb::Dtype::Float64)).await;
    let split = pb::Split {
        held_out_fraction: Some(1.5),
        part: 7,
        ..Default::default()
    };
    let rows = pb::DatasetRows {
        dataset: "nowhere".to_owned(),
        ..rows_of(&dataset, Some(Selection::Split(split)))
    };
    let both = pb::TrainBatchRequest {
        labels: vec![1],
        ..on(&model, rows)
    };
    let refused = run(&mut training, both)
        .await
        .expect_err("all of it is bad");
    let expected = [
        "labels",
        "dataset.dataset",
        "dataset.split.held_out_fraction",
        "dataset.split.part",
    ];
    let mut fields = bad_fields(&refused);
    fields.sort();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(fields, sorted);

    let narrow = pb::ModelSpec {
        input_size: 3,
        ..regression(pb::Dtype::Float64)
    };
    let narrow = model_in(&server, SESSION, narrow).await;
    let refused = run(&mut training, on(&narrow, rows_of(&dataset, None))).await;
    let refused = refused.expect_err("3 inputs, and numbers to predict");
    assert_eq!(bad_fields(&refused), ["dataset", "dataset"]);
    let range = pb::RowRange {
        start: 40,
        end: Some(51),
    };
    let beyond = rows_of(&dataset, Some(Selection::Range(range)));
    let refused = run(&mut training, on(&model, beyond)).await;
    assert_eq!(
        bad_fields(&refused.expect_err("50 rows")),
        ["dataset.range"]
    );
}

#[tokio::test]
async fn bad_rows_are_named_and_leave_nothing() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    create_session(&server, "lab").await.expect("a session");
    let mut datasets = client(&server).await;
    let change = |at: usize, change: &dyn Fn(&mut pb::DatasetPiece)| {
        let mut messages = messages(&header("m"));
        if let Some(Part::Rows(rows)) = &mut messages[at].part {
            change(rows);
        }
        messages
    };
    let not_a_number = change(4, &|rows| {
        let mut bytes = rows.inputs.to_vec();
        bytes[(2 * FEATURES + 1) * 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
        rows.inputs = bytes.into();
    });
    let refused = send(&mut datasets, not_a_number).await.expect_err("a NaN");
    // Three pieces of 7 rows before it, and two rows.
    assert!(refused.message().contains("row 24, column 2"), "{refused}");

    let label = change(2, &|rows| rows.labels[3] = 2);
    let refused = send(&mut datasets, label).await.expect_err("no such class");
    assert!(refused.message().contains("row 11"), "{refused}");
    assert!(refused.message().contains("0 to 1"), "{refused}");
    let negative = change(2, &|rows| rows.labels[3] = -1);
    let refused = send(&mut datasets, negative).await.expect_err("negative");
    assert_eq!(bad_fields(&refused), ["rows.labels[3]"]);

    let mut missing = messages(&header("m"));
    missing.pop();
    let refused = send(&mut datasets, missing).await.expect_err("49 rows");
    assert!(refused.message().contains("200, as announced"), "{refused}");
    let mut too_many = messages(&header("m"));
    too_many.push(too_many[1].clone());
    let refused = send(&mut datasets, too_many).await.expect_err("57 rows");
    assert!(refused.message().contains("as announced"), "{refused}");
    let targets = change(1, &|rows| rows.targets = raw(&[1.0], pb::Dtype::Float32));
    let refused = send(&mut datasets, targets)
        .await
        .expect_err("labels were announced");
    assert!(refused.message().contains("as announced"), "{refused}");

    assert!(list(&mut datasets, SESSION).await.is_empty());
    assert_eq!(files(folder.path()), ["session.json"]);
    upload(&mut datasets, &header("m")).await;
    assert_eq!(
        files(folder.path()),
        ["m.dataset.safetensors", "session.json"]
    );
}

/// The files of the session.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join(SESSION)).expect("a folder");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_repeated_upload_finds_the_dataset_also_after_a_crash() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    create_session(&server, "lab").await.expect("a session");
    let mut datasets = client(&server).await;
    let asked = pb::DatasetHeader {
        request_id: "once".to_owned(),
        ..header("m")
    };
    let made = upload(&mut datasets, &asked).await;
    assert_eq!(upload(&mut datasets, &asked).await, made);
    let other = pb::DatasetHeader {
        features: 5,
        ..asked.clone()
    };
    let reused = send(&mut datasets, messages(&other)).await;
    let reused = reused.expect_err("another dataset");
    refused(&reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let taken = send(&mut datasets, messages(&header("m"))).await;
    refused(
        &taken.expect_err("it is taken"),
        Code::AlreadyExists,
        "ALREADY_EXISTS",
    );

    let crashed = copy_of(&folder);
    fs::write(
        crashed
            .path()
            .join(SESSION)
            .join("n.dataset.safetensors.12-3.part"),
        "a part of an upload",
    )
    .expect("written");
    let server = Server::on(&crashed, |_| ()).await;
    let mut datasets = client(&server).await;
    assert_eq!(upload(&mut datasets, &asked).await, made);
    assert_eq!(list(&mut datasets, SESSION).await, [made.name]);
    assert_eq!(
        files(crashed.path()),
        ["m.dataset.safetensors", "session.json"]
    );
}

#[tokio::test]
async fn a_list_is_made_from_the_headers_of_the_files() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    create_session(&server, "lab").await.expect("a session");
    let mut datasets = client(&server).await;
    let constants = pb::Standardization {
        input_means: vec![0.5; FEATURES],
        input_deviations: vec![2.0; FEATURES],
        ..Default::default()
    };
    let mut made = Vec::new();
    for (id, target_columns) in [("classes", 0), ("numbers", 1)] {
        let asked = pb::DatasetHeader {
            target_columns,
            classes: if target_columns == 0 { 2 } else { 0 },
            standardization: Some(constants.clone()),
            ..header(id)
        };
        let dataset = upload(&mut datasets, &asked).await;
        made.push(pb::Dataset {
            class_names: Vec::new(),
            standardization: None,
            ..dataset
        });
    }
    assert_eq!(listed(&mut datasets, SESSION).await, made);

    let crashed = copy_of(&folder);
    let path = crashed
        .path()
        .join(SESSION)
        .join("classes.dataset.safetensors");
    let mut bytes = fs::read(&path).expect("it is there");
    // A class that does not exist: a read of the rows finds it.
    *bytes.last_mut().expect("not empty") = 1;
    fs::write(&path, bytes).expect("written");
    let server = Server::on(&crashed, |_| ()).await;
    let mut datasets = client(&server).await;
    assert_eq!(listed(&mut datasets, SESSION).await, made);
    let name = made[0].name.clone();
    let opened = datasets.get_dataset(pb::GetDatasetRequest { name }).await;
    let unreadable = opened.expect_err("a bad label");
    refused(&unreadable, Code::FailedPrecondition, "DATASET_UNREADABLE");
}

#[tokio::test]
async fn a_session_with_a_dataset_lives_as_long_as_one_with_a_model() {
    let folder = TempDir::new().expect("a folder");
    let hasty = |config: &mut Config| config.empty_session_ttl_seconds = 1;
    let server = Server::on(&folder, hasty).await;
    for id in ["empty", "lab"] {
        create_session(&server, id).await.expect("a session");
    }
    let mut datasets = client(&server).await;
    let made = upload(&mut datasets, &header("m")).await;
    let left = async |server: &Server, expected: &[&str]| {
        let mut sessions = server.sessions().await;
        until(async || {
            let list = pb::ListSessionsRequest::default();
            let list = sessions.list_sessions(list).await.expect("listed");
            let names = list.into_inner().sessions.into_iter();
            names.map(|session| session.name).collect::<Vec<_>>() == expected
        })
        .await;
    };
    left(&server, &[SESSION]).await;

    let restarted = copy_of(&folder);
    let restarted = Server::on(&restarted, hasty).await;
    create_session(&restarted, "empty")
        .await
        .expect("a session");
    left(&restarted, &["sessions/empty", SESSION]).await;
    left(&restarted, &[SESSION]).await;

    let request = pb::DeleteDatasetRequest { name: made.name };
    datasets.delete_dataset(request).await.expect("deleted");
    left(&server, &[]).await;
}

#[tokio::test]
async fn a_run_on_a_dataset_is_durable_and_survives_the_deletion_of_the_dataset() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    create_session(&server, "lab").await.expect("a session");
    let (mut datasets, mut training) = (client(&server).await, server.training().await);
    let dataset = upload(&mut datasets, &header("m")).await;
    let model = model_in(&server, SESSION, spec(pb::Dtype::Float32)).await;
    let before = log_bytes(folder.path());
    let asked = pb::TrainBatchRequest {
        request_id: "ten epochs".to_owned(),
        ..on(&model, rows_of(&dataset, None))
    };
    let digest = digest_of(&mut training, asked.clone()).await;
    // The record names the dataset, and has none of its rows.
    let grown = log_bytes(folder.path()) - before;
    assert!((1..2000).contains(&grown), "{grown}");

    let crashed = copy_of(&folder);
    let after = Server::on(&crashed, |_| ()).await;
    let mut there = after.training().await;
    let replayed = get(&mut there, &model.name).await.expect("it is there");
    assert_eq!(replayed.weights_digest, digest);
    let again = run(&mut there, asked.clone()).await.expect("known");
    assert!(again.started.replayed);

    let name = dataset.name.clone();
    let request = pb::DeleteDatasetRequest { name };
    datasets.delete_dataset(request).await.expect("deleted");
    let crashed = copy_of(&folder);
    let after = Server::on(&crashed, |_| ()).await;
    let mut there = after.training().await;
    let restored = get(&mut there, &model.name).await.expect("it is there");
    assert_eq!(restored.weights_digest, digest);
    let again = run(&mut there, asked.clone()).await.expect("known");
    assert!(again.started.replayed);
    let new = pb::TrainBatchRequest {
        request_id: "more".to_owned(),
        ..asked
    };
    let gone = run(&mut there, new).await.expect_err("no dataset");
    refused(&gone, Code::NotFound, "NOT_FOUND");
}

/// What the log holds, without the zeros at its end.
fn log_bytes(folder: &Path) -> usize {
    let Ok(parts) = fs::read_dir(folder.join("log")) else {
        return 0;
    };
    let sizes = parts.map(|part| {
        let bytes = fs::read(part.expect("a part").path()).expect("readable");
        bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1)
    });
    sizes.sum()
}

#[tokio::test]
async fn a_deleted_dataset_stops_its_runs_and_a_resent_one_resumes_on_a_copy() {
    let server = Server::start().await;
    create_session(&server, "lab").await.expect("a session");
    let (mut datasets, mut training) = (client(&server).await, server.training().await);
    let dataset = upload(&mut datasets, &header("m")).await;
    let model = model_in(&server, SESSION, spec(pb::Dtype::Float32)).await;
    let endless = pb::TrainBatchRequest {
        epochs: 0,
        steps: FOREVER,
        ..on(&model, rows_of(&dataset, None))
    };
    let (started, stream) = under_way(&mut training, endless).await;
    let name = dataset.name.clone();
    let request = pb::DeleteDatasetRequest { name };
    datasets
        .delete_dataset(request.clone())
        .await
        .expect("deleted");
    let told = listen(started, stream).await;
    refused(told.error(), Code::FailedPrecondition, "DATASET_DELETED");
    assert_committed(&mut training, &model, told.error()).await;
    let again = datasets.delete_dataset(request).await.expect_err("gone");
    refused(&again, Code::NotFound, "NOT_FOUND");
}

#[tokio::test]
async fn files_in_the_folder_are_shared_and_cannot_be_changed() {
    let shared = TempDir::new().expect("a folder");
    let mut csv = String::from("a,b,c,d,class\n");
    for (row, label) in inputs().chunks(FEATURES).zip(labels()) {
        let row: Vec<String> = row.iter().map(f64::to_string).collect();
        csv += &format!("{},{label}\n", row.join(","));
    }
    fs::write(shared.path().join("Two_Classes.csv"), csv).expect("written");
    let path = shared.path().to_string_lossy().into_owned();
    let server = Server::with(|config| config.datasets = path).await;
    create_session(&server, "lab").await.expect("a session");
    create_session(&server, "other").await.expect("a session");
    let (mut datasets, mut training) = (client(&server).await, server.training().await);
    let names = list(&mut datasets, "").await;
    assert_eq!(names, ["datasets/digits", "datasets/two-classes"]);
    // What is in a text file is known once it has been read.
    assert_eq!(listed(&mut datasets, "").await[1].rows, 0);
    let name = names[1].clone();
    let request = pb::GetDatasetRequest { name: name.clone() };
    let dataset = datasets.get_dataset(request).await.expect("it is there");
    let dataset = dataset.into_inner().dataset.expect("a dataset");
    assert_eq!(
        (dataset.rows, dataset.features, dataset.classes),
        (50, 4, 2)
    );
    assert_eq!(dataset.class_names, ["0", "1"]);
    let now = listed(&mut datasets, "").await.remove(1);
    assert_eq!((now.rows, &now.digest), (50, &dataset.digest));
    assert!(dataset.create_time.is_none());

    let one = model_in(&server, SESSION, spec(pb::Dtype::Float64)).await;
    let other = model_in(&server, "sessions/other", spec(pb::Dtype::Float64)).await;
    let named = digest_of(&mut training, on(&one, rows_of(&dataset, None))).await;
    let sent = digest_of(&mut training, on_sent(&other, 0..ROWS, true)).await;
    assert_eq!(named, sent);

    let delete = datasets
        .delete_dataset(pb::DeleteDatasetRequest { name })
        .await;
    let delete = delete.expect_err("it is the server's");
    refused(&delete, Code::PermissionDenied, "SHARED_DATASET");
    let own = upload(&mut datasets, &header("own")).await;
    let foreign = run(&mut training, on(&other, rows_of(&own, None))).await;
    let foreign = foreign.expect_err("it belongs to another session");
    assert_eq!(bad_fields(&foreign), ["dataset.dataset"]);
}

#[tokio::test]
async fn a_file_that_changes_under_a_run_stops_it_before_anything_wrong_is_learnt() {
    let shared = TempDir::new().expect("a folder");
    let path = shared.path().to_string_lossy().into_owned();
    // Too large for memory, so that its rows are read as they are needed.
    let rows = 400_000;
    let mut file = header_of_npy(rows);
    file.extend(raw(&numbers(rows * FEATURES, 1), pb::Dtype::Float32));
    fs::write(shared.path().join("big.npy"), &file).expect("written");
    let mut truth = header_of_labels(rows);
    truth.extend((0..rows).map(|row| (row % 2) as u8));
    fs::write(shared.path().join("big.labels.npy"), truth).expect("written");
    let server = Server::with(|config| {
        config.datasets = path;
        config.max_dataset_memory_bytes = 2 << 20;
    })
    .await;
    create_session(&server, "lab").await.expect("a session");
    let mut training = server.training().await;
    let model = model_in(&server, SESSION, spec(pb::Dtype::Float32)).await;
    let big = pb::Dataset {
        name: "datasets/big".to_owned(),
        ..Default::default()
    };
    let endless = pb::TrainBatchRequest {
        epochs: 0,
        steps: FOREVER,
        ..on(&model, rows_of(&big, None))
    };
    let (started, stream) = under_way(&mut training, endless).await;
    file.truncate(file.len() / 2);
    fs::write(shared.path().join("big.npy"), &file).expect("written");
    let told = listen(started, stream).await;
    refused(told.error(), Code::FailedPrecondition, "DATASET_UNREADABLE");
    assert_committed(&mut training, &model, told.error()).await;
}

fn npy(dtype: &str, shape: &str) -> Vec<u8> {
    let dict = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    let padded = format!("{dict:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(118_u16.to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes
}

fn header_of_npy(rows: usize) -> Vec<u8> {
    npy("<f4", &format!("({rows}, {FEATURES})"))
}

fn header_of_labels(rows: usize) -> Vec<u8> {
    npy("|u1", &format!("({rows},)"))
}

#[tokio::test]
async fn uploads_in_progress_count_and_the_first_to_arrive_keeps_its_name() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |config| config.max_datasets_per_session = 2).await;
    create_session(&server, "lab").await.expect("a session");
    let mut uploads = Vec::new();
    for request_id in ["one", "other"] {
        let header = pb::DatasetHeader {
            request_id: request_id.to_owned(),
            ..header("m")
        };
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut client = client(&server).await;
        let sent = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let call = tokio::spawn(async move { client.create_dataset(sent).await });
        let mut rest = messages(&header).into_iter();
        for message in rest.by_ref().take(3) {
            sender.send(message).await.expect("it reads");
        }
        uploads.push((sender, rest, call));
    }
    let parts = || {
        files(folder.path())
            .iter()
            .filter(|name| name.ends_with(".part"))
            .count()
    };
    until(async || parts() == 2).await;
    let third = send(&mut client(&server).await, messages(&header("third"))).await;
    refused(
        &third.expect_err("two are arriving"),
        Code::ResourceExhausted,
        "QUOTA",
    );

    let mut ends = Vec::new();
    for (sender, rest, call) in uploads {
        for message in rest {
            sender.send(message).await.expect("it reads");
        }
        drop(sender);
        ends.push(call.await.expect("no panic"));
    }
    let first = ends.remove(0).expect("a good dataset").into_inner();
    let other = ends.remove(0).expect_err("the name is taken");
    refused(&other, Code::AlreadyExists, "ALREADY_EXISTS");
    assert_eq!(
        files(folder.path()),
        ["m.dataset.safetensors", "session.json"]
    );
    let name = first.dataset.expect("a dataset").name;
    assert_eq!(list(&mut client(&server).await, SESSION).await, [name]);
}

#[tokio::test]
async fn a_dataset_in_memory_counts_once() {
    let server = Server::with(|config| config.max_dataset_memory_bytes = 1 << 20).await;
    create_session(&server, "lab").await.expect("a session");
    let mut datasets = client(&server).await;
    // 640,000 bytes of inputs and 160,000 of labels.
    let rows = 40_000;
    let large = pb::DatasetHeader {
        rows: rows as i64,
        ..header("large")
    };
    let piece = pb::DatasetPiece {
        inputs: raw(&numbers(rows * FEATURES, 1), pb::Dtype::Float32),
        targets: Bytes::new(),
        labels: vec![1; rows],
    };
    let sent = vec![message(Part::Header(large)), message(Part::Rows(piece))];
    let made = send(&mut datasets, sent).await.expect("it fits once");
    assert_eq!((made.rows, made.bytes), (40_000, 800_000));
}

#[tokio::test]
async fn quotas_are_named_before_the_rows_are_sent() {
    let server = Server::with(|config| {
        config.max_datasets_per_session = 1;
        config.max_session_dataset_bytes = 1200;
    })
    .await;
    create_session(&server, "lab").await.expect("a session");
    let mut datasets = client(&server).await;
    let large = pb::DatasetHeader {
        rows: 1 << 40,
        ..header("large")
    };
    for (header, setting) in [
        (large, "max_session_dataset_bytes"),
        (header("one"), ""),
        (header("two"), "max_datasets_per_session"),
    ] {
        let sent = send(&mut datasets, messages(&header)).await;
        if setting.is_empty() {
            sent.expect("it fits");
        } else {
            let status = sent.expect_err("over quota");
            refused(&status, Code::ResourceExhausted, "QUOTA");
            assert!(status.message().contains(setting), "{status}");
        }
    }
    let sessions = server.sessions();
    let name = SESSION.to_owned();
    let request = pb::DeleteSessionRequest { name };
    sessions
        .await
        .delete_session(request)
        .await
        .expect("deleted");
    create_session(&server, "lab")
        .await
        .expect("the name is free");
    assert!(list(&mut datasets, SESSION).await.is_empty());
    until(async || send(&mut datasets, messages(&header("one"))).await.is_ok()).await;
}
