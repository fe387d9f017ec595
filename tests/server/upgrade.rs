//! Files of releases, which every later version reads: `tests/data/{release}` holds a data folder whose server was
//! killed with commits in its log, and what that server said of its models before.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, fs};

use backpropd::rpc::pb;
use pb::model_spec::Optimizer;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::Code;

use super::fixture::{
    Server, Sessions, Training, copy_files, get, homework, layer, refused, run, tensor, train,
};

/// A model of a release's folder.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Expected {
    name: String,
    step: i64,
    /// None where the model is for grading only.
    digest: Option<String>,
}

fn folder(release: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(release)
}

/// Parts of the log are kept without the zeros at their end.
const SEGMENT_BYTES: u64 = 4 << 20;

fn for_each_log(data: &Path, change: impl Fn(&Path)) {
    for part in fs::read_dir(data.join("log")).expect("a log") {
        change(&part.expect("a part").path());
    }
}

/// A run that is answered again by every later version.
fn asked(name: &str, steps: i32) -> pb::TrainBatchRequest {
    let model = pb::Model {
        name: name.to_owned(),
        ..Default::default()
    };
    pb::TrainBatchRequest {
        request_id: "steps".to_owned(),
        ..train(&model, steps)
    }
}

/// 4-48-48-1, whose runs the log holds instead of the model. Every number of its first step is a short binary fraction,
/// so that every processor comes to the same bits.
fn large() -> (pb::ModelSpec, Vec<pb::LayerParameters>) {
    let layers = [48, 48, 1].map(|units| layer(units, pb::Activation::Relu, true));
    let spec = pb::ModelSpec {
        layers: layers.to_vec(),
        optimizer: Some(Optimizer::Sgd(pb::Sgd {
            momentum: 0.5,
            ..Default::default()
        })),
        ..homework()
    };
    let sizes = [[48, 4], [48, 48], [1, 48]];
    let parameters = sizes.map(|[units, fan_in]| {
        let count = (units * fan_in) as usize;
        let weights: Vec<f64> = (0..count).map(|at| (at % 5) as f64 / 64.0).collect();
        pb::LayerParameters {
            weights: Some(tensor([units, fan_in], &weights)),
            bias: Some(pb::Tensor {
                shape: vec![units],
                values: vec![0.25; units as usize],
                ..Default::default()
            }),
        }
    });
    (spec, parameters.to_vec())
}

fn exact(name: &str) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        learning_rate: Some(1.0 / 1024.0),
        ..asked(name, 1)
    }
}

/// The program of a release, serving; and where.
async fn release(program: &str, data: &Path) -> (Child, String) {
    let mut child = Command::new(program)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.next_line().await.expect("text").expect("a line");
    let (_, address) = line.rsplit_once(' ').expect("it says where");
    (child, format!("http://{address}"))
}

/// Models whose commits the log holds whole: each optimizer, both types, an activation that is no polynomial.
fn small() -> Vec<(String, pb::ModelSpec)> {
    let momentum = pb::Sgd {
        momentum: 0.9,
        nesterov: true,
        ..Default::default()
    };
    let (single, double) = (pb::Dtype::Float32, pb::Dtype::Float64);
    let optimizers = [
        ("sgd", double, None),
        ("momentum", single, Some(Optimizer::Sgd(momentum))),
        ("adam", double, Some(Optimizer::Adam(Default::default()))),
        ("adamw", single, Some(Optimizer::Adamw(Default::default()))),
        (
            "rmsprop",
            double,
            Some(Optimizer::Rmsprop(Default::default())),
        ),
    ];
    let mut specs = optimizers
        .map(|(id, dtype, optimizer)| {
            let spec = pb::ModelSpec {
                optimizer,
                compute: dtype.into(),
                ..homework()
            };
            (format!("sessions/lab/models/{id}"), spec)
        })
        .to_vec();
    let tanh = [3, 1].map(|units| layer(units, pb::Activation::Tanh, true));
    let tanh = pb::ModelSpec {
        layers: tanh.to_vec(),
        ..homework()
    };
    specs.push(("sessions/lab/models/tanh".to_owned(), tanh));
    specs.push(("sessions/lab/models/deleted".to_owned(), homework()));
    specs.push(("sessions/exam/models/reference".to_owned(), homework()));
    specs.push(("sessions/gone/models/m".to_owned(), homework()));
    specs
}

/// Makes the models, trains them, and deletes what is to be deleted; the names of all.
async fn make_models(client: &mut Training, sessions: &mut Sessions) -> Vec<String> {
    for (id, access) in [
        ("lab", pb::Access::Full),
        ("exam", pb::Access::CompareOnly),
        ("gone", pb::Access::Full),
    ] {
        let request = pb::CreateSessionRequest {
            session_id: id.to_owned(),
            access: access.into(),
            request_id: format!("session {id}"),
            ..Default::default()
        };
        sessions.create_session(request).await.expect("room");
    }
    let (mut names, mut steps) = (Vec::<String>::new(), 3);
    for (name, spec) in small() {
        let (session, id) = name.split_once("/models/").expect("a model's name");
        let request = pb::CreateModelRequest {
            session: session.to_owned(),
            model_id: id.to_owned(),
            spec: Some(spec),
            seed: 7,
            ..Default::default()
        };
        client.create_model(request).await.expect("room");
        if session != "sessions/exam" {
            run(client, asked(&name, steps)).await.expect("it trains");
            steps += 1;
        }
        names.push(name);
    }
    let (spec, parameters) = large();
    let request = pb::CreateModelRequest {
        session: "sessions/lab".to_owned(),
        model_id: "large".to_owned(),
        spec: Some(spec),
        parameters,
        ..Default::default()
    };
    client.create_model(request).await.expect("room");
    let large = "sessions/lab/models/large".to_owned();
    run(client, exact(&large)).await.expect("it trains");
    names.push(large);
    let name = "sessions/lab/models/deleted".to_owned();
    let delete = pb::DeleteModelRequest { name };
    client.delete_model(delete).await.expect("deleted");
    let name = "sessions/gone".to_owned();
    let delete = pb::DeleteSessionRequest { name };
    sessions.delete_session(delete).await.expect("deleted");
    names
}

/// Makes `tests/data/{release}` by the program that `RELEASE_PROGRAM` names; run once, for each release.
#[tokio::test]
#[ignore = "makes the files that the test beside it reads, by the program of a release"]
async fn make_the_files_of_a_release() {
    let program = env::var("RELEASE_PROGRAM").expect("the program of the release");
    let name = env::var("RELEASE_NAME").expect("its name");
    let data = TempDir::new().expect("a folder");
    let (mut child, endpoint) = release(&program, data.path()).await;
    let mut sessions = Sessions::connect(endpoint.clone())
        .await
        .expect("it listens");
    let mut client = Training::connect(endpoint).await.expect("it listens");
    let mut expected = Vec::new();
    for name in make_models(&mut client, &mut sessions).await {
        if let Ok(model) = get(&mut client, &name).await {
            let digest = (!name.contains("exam")).then_some(model.weights_digest);
            let step = model.step;
            expected.push(Expected { name, step, digest });
        }
    }
    // As kill -9.
    child.kill().await.expect("it runs");

    let to = folder(&name);
    copy_files(data.path(), &to.join("data"));
    let _ = fs::remove_file(to.join("data/lock"));
    for_each_log(&to.join("data"), |part| {
        let mut bytes = fs::read(part).expect("a part");
        assert_eq!(bytes.len() as u64, SEGMENT_BYTES);
        let end = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        bytes.truncate(end);
        fs::write(part, bytes).expect("written");
    });
    let expected = serde_json::to_string_pretty(&expected).expect("JSON");
    fs::write(to.join("expected.json"), expected + "\n").expect("written");
}

#[tokio::test]
async fn the_files_of_the_last_release_are_read() {
    let release = folder("v0.1.0");
    let data = TempDir::new().expect("a folder");
    copy_files(&release.join("data"), data.path());
    for_each_log(data.path(), |part| {
        let part = fs::OpenOptions::new()
            .write(true)
            .open(part)
            .expect("a part");
        part.set_len(SEGMENT_BYTES).expect("zeros");
    });
    let expected = fs::read_to_string(release.join("expected.json")).expect("text");
    let expected: Vec<Expected> = serde_json::from_str(&expected).expect("JSON");
    assert_eq!(expected.len(), 8);
    for start in 0..2 {
        let server = Server::on(&data, |_| ()).await;
        let mut client = server.training().await;
        for (expected, steps) in expected.iter().zip(3..) {
            let model = get(&mut client, &expected.name).await.expect("it is there");
            assert_eq!(model.step, expected.step, "start {start}: {expected:?}");
            let Some(digest) = &expected.digest else {
                assert_eq!(model.access, i32::from(pb::Access::CompareOnly));
                let closed = run(&mut client, asked(&expected.name, 1)).await.err();
                refused(
                    &closed.expect("closed"),
                    Code::PermissionDenied,
                    "COMPARE_ONLY",
                );
                continue;
            };
            assert_eq!(&model.weights_digest, digest, "start {start}: {expected:?}");
            let again = if expected.name.ends_with("large") {
                exact(&expected.name)
            } else {
                asked(&expected.name, steps)
            };
            let again = run(&mut client, again).await.expect("it is answered");
            assert!(again.started.replayed, "start {start}: {expected:?}");
        }
        for gone in ["sessions/lab/models/deleted", "sessions/gone/models/m"] {
            let gone = get(&mut client, gone).await.expect_err("deleted");
            refused(&gone, Code::NotFound, "NOT_FOUND");
        }
        assert!(
            !data.path().join("quarantine").exists(),
            "nothing is damaged"
        );
        server.stop().await;
    }
    // What is trained on is kept, too.
    let server = Server::on(&data, |_| ()).await;
    let mut client = server.training().await;
    for expected in expected.iter().filter(|expected| expected.digest.is_some()) {
        let more = pb::TrainBatchRequest {
            request_id: String::new(),
            ..asked(&expected.name, 1)
        };
        run(&mut client, more).await.expect("it trains");
    }
}

/// The bytes of every file under a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("a file");
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

type Later = fn(&Path);

#[tokio::test]
async fn a_format_that_is_not_known_refuses_the_start_and_nothing_is_touched() {
    let data = TempDir::new().expect("a folder");
    let server = Server::on(&data, |_| ()).await;
    let session = super::fixture::create_session(&server, "lab")
        .await
        .expect("room");
    let model = super::fixture::create_in(&server, &session, homework())
        .await
        .expect("room");
    server.stop().await;
    let model = data
        .path()
        .join(model.name.replace("/models/", "/") + ".safetensors");
    // What a clean-up would remove or move.
    fs::write(
        data.path().join("sessions/lab/other.safetensors.tmp"),
        "left",
    )
    .expect("written");
    fs::create_dir(data.path().join("sessions/.deleted-other")).expect("made");
    fs::write(data.path().join("sessions/.deleted-other/x"), "left").expect("written");
    let later: [(&str, Later); 2] = [
        (".safetensors", |file| {
            let mut bytes = fs::read(file).expect("it is there");
            let (from, to) = (br#"\"version\":1"#, br#"\"version\":7"#);
            let at = bytes.windows(from.len()).position(|part| part == from);
            let at = at.expect("its header names it");
            bytes[at..at + to.len()].copy_from_slice(to);
            let (covered, checksum) = bytes.split_last_chunk_mut::<32>().expect("a checksum");
            *checksum = blake3::hash(covered).into();
            fs::write(file, bytes).expect("written");
        }),
        ("session.json", |file| {
            let file = file.with_file_name("session.json");
            let text = r#"{"version":7,"else":"unknown""#;
            let checksum = blake3::hash(text.as_bytes()).to_hex();
            let text = format!("{text},\"checksum\":\"{checksum}\"}}");
            fs::write(file, text).expect("written");
        }),
    ];
    for (what, write) in later {
        let copy = super::fixture::copy_of(&data);
        let model = copy
            .path()
            .join(model.strip_prefix(data.path()).expect("in it"));
        write(&model);
        let before = files(copy.path());
        let config = backpropd::config::Config {
            data_dir: copy.path().to_str().expect("text").to_owned(),
            ..Default::default()
        };
        let refusal = backpropd::server::open(config)
            .err()
            .expect(what)
            .to_string();
        assert!(refusal.contains(what) && refusal.contains('7'), "{refusal}");
        assert!(refusal.contains("nothing was changed"), "{refusal}");
        assert_eq!(files(copy.path()), before, "{what}");
    }
}
