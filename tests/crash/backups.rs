//! Backups of a server under load that is then killed: each holds what was acknowledged before it began, and starts.
//!
//! Training clients each raise the step of a model by one at a time and note the last acknowledged step; others create and
//! delete models and sessions beside them. A backup notes those steps, copies, and is compared with them. More of them:
//!
//! `BACKUPS=200 cargo test --test crash backups -- --nocapture`

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use backpropd::rpc::pb;
use backpropd::rpc::pb::session_service_client::SessionServiceClient;
use tempfile::TempDir;
use tokio::process::Command;
use tonic::Code;

use crate::datasets::upload;
use crate::fixture::{self, Training, homework_with_adam, next, train, wide};
use crate::process::{Process, Setting};

const TRAINERS: usize = 8;

/// A model whose step only grows.
struct Trained {
    name: String,
    acknowledged: Arc<AtomicI64>,
}

async fn program(arguments: &[&str]) -> (ExitStatus, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backpropd"));
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.await.expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&said).into_owned())
}

/// Creates the model `m` in a new session.
async fn create(
    address: &str,
    client: &mut Training,
    session: &str,
    spec: pb::ModelSpec,
) -> pb::Model {
    let sessions = SessionServiceClient::connect(format!("http://{address}")).await;
    let create = pb::CreateSessionRequest {
        session_id: session.to_owned(),
        ..Default::default()
    };
    let created = sessions.expect("it listens").create_session(create).await;
    created.expect("a new session");
    let request = pb::CreateModelRequest {
        session: format!("sessions/{session}"),
        model_id: "m".to_owned(),
        spec: Some(spec),
        ..Default::default()
    };
    let reply = client.create_model(request).await.expect("a good request");
    reply.into_inner().model.expect("a model")
}

fn path(folder: &Path) -> &str {
    folder.to_str().expect("text")
}

/// Creates a model of its own, small or wide, and trains it step by step until told to stop.
async fn trainer(
    mut client: Training,
    address: String,
    at: usize,
    acknowledged: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
) {
    let spec = if at.is_multiple_of(2) {
        homework_with_adam()
    } else {
        wide()
    };
    let created = create(&address, &mut client, &format!("t{at}"), spec).await;
    while !stop.load(Ordering::Relaxed) {
        let mut stream = match client.train_batch(train(&created, 1)).await {
            Ok(reply) => reply.into_inner(),
            Err(_) => return,
        };
        loop {
            match next(&mut stream).await {
                Ok(Some(reply)) => {
                    if let Some(pb::train_batch_response::Event::Completed(end)) = reply.event {
                        acknowledged.store(end.step, Ordering::SeqCst);
                    }
                }
                Ok(None) => break,
                // The server was killed.
                Err(_) => return,
            }
        }
    }
}

/// Creates sessions with models, and deletes them, again and again.
async fn changer(mut client: Training, address: String, stop: Arc<AtomicBool>) {
    let sessions = SessionServiceClient::connect(format!("http://{address}")).await;
    let mut sessions = sessions.expect("it listens");
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        // Names come again, so that a folder is deleted and created anew while it is copied.
        let session = format!("c{}", round % 3);
        round += 1;
        let create = pb::CreateSessionRequest {
            session_id: session.clone(),
            ..Default::default()
        };
        if sessions.create_session(create).await.is_err() {
            return;
        }
        let name = format!("sessions/{session}");
        for model in ["a", "b", "c"] {
            let request = pb::CreateModelRequest {
                session: name.clone(),
                model_id: model.to_owned(),
                spec: Some(homework_with_adam()),
                ..Default::default()
            };
            if client.create_model(request).await.is_err() {
                return;
            }
        }
        let model = pb::DeleteModelRequest {
            name: format!("{name}/models/b"),
        };
        if client.delete_model(model).await.is_err() {
            return;
        }
        let delete = pb::DeleteSessionRequest { name };
        if sessions.delete_session(delete).await.is_err() {
            return;
        }
    }
}

/// Starts a server on the folder; every model of `expected` is there at its step or beyond, and trains.
async fn assert_holds(folder: &Path, expected: &[(String, i64)]) {
    let process = Process::start(folder, &Setting::default()).await;
    let process = process.expect("a restored folder starts");
    let mut client = process.client().await;
    for (name, step) in expected {
        match fixture::get(&mut client, name).await {
            Ok(model) => {
                assert!(model.step >= *step, "{name}: step {} of {step}", model.step);
                let told = fixture::run(&mut client, train(&model, 1))
                    .await
                    .expect("it trains");
                assert_eq!(told.completed().step, model.step + 1);
            }
            Err(status) => {
                assert_eq!(status.code(), Code::NotFound, "{name}: {status}");
                assert_eq!(*step, 0, "{name} is gone, its step was {step}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_under_load_hold_what_was_acknowledged_before_they_began() {
    let count = std::env::var("BACKUPS");
    let count: usize = count.map_or(4, |count| count.parse().expect("a number"));
    let home = TempDir::new().expect("a folder");
    let data = home.path().join("data");
    // Often enough that files replace commits in the log while a backup copies.
    let setting = Setting {
        arguments: ["--commit-seconds", "1"].map(str::to_owned).to_vec(),
        ..Setting::default()
    };
    let mut process = Process::start(&data, &setting).await.expect("it starts");
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    let mut models = Vec::new();
    for at in 0..TRAINERS {
        let acknowledged = Arc::new(AtomicI64::new(0));
        let client = process.client().await;
        models.push(Trained {
            name: format!("sessions/t{at}/models/m"),
            acknowledged: Arc::clone(&acknowledged),
        });
        let address = process.address.clone();
        tasks.push(tokio::spawn(trainer(
            client,
            address,
            at,
            acknowledged,
            Arc::clone(&stop),
        )));
    }
    let (client, address) = (process.client().await, process.address.clone());
    tasks.push(tokio::spawn(changer(client, address, Arc::clone(&stop))));
    fixture::until(async || {
        models
            .iter()
            .all(|model| model.acknowledged.load(Ordering::SeqCst) > 0)
    })
    .await;
    let mut made = Vec::new();
    for at in 0..count {
        let steps = models.iter().map(|model| {
            let step = model.acknowledged.load(Ordering::SeqCst);
            (model.name.clone(), step)
        });
        let steps: Vec<_> = steps.collect();
        let backup = home.path().join(format!("backup-{at}"));
        let (status, said) = program(&["backup", path(&backup), "--data-dir", path(&data)]).await;
        assert!(status.success(), "{said}");
        made.push((backup, steps));
    }
    process.child.kill().await.expect("it is killed");
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no client found a fault");
    }
    for (at, (backup, steps)) in made.iter().enumerate() {
        let restored = home.path().join(format!("restored-{at}"));
        let (status, said) =
            program(&["restore", path(backup), "--data-dir", path(&restored)]).await;
        assert!(status.success(), "{said}");
        assert_holds(&restored, steps).await;
    }
    let last: i64 = models
        .iter()
        .map(|model| model.acknowledged.load(Ordering::SeqCst))
        .sum();
    println!("{count} backups during {last} acknowledged steps of {TRAINERS} clients: none lost");
}

#[tokio::test]
async fn a_backup_of_a_stopped_server_is_whole_and_damage_in_it_is_told() {
    let home = TempDir::new().expect("a folder");
    let data = home.path().join("data");
    let mut process = Process::start(&data, &Setting::default())
        .await
        .expect("it starts");
    let mut client = process.client().await;
    let model = create(&process.address, &mut client, "s", homework_with_adam()).await;
    let told = fixture::run(&mut client, train(&model, 3))
        .await
        .expect("it trains");
    assert_eq!(told.completed().step, 3);
    // Nothing of this one is in the log, which would make up for its file.
    create(&process.address, &mut client, "t", homework_with_adam()).await;
    let restored = home.path().join("restored");
    let backup = home.path().join("backup");
    let (status, said) = program(&["backup", path(&backup), "--data-dir", path(&data)]).await;
    assert!(status.success(), "{said}");
    process.child.kill().await.expect("it is killed");
    assert_holds_after(&backup, &restored, &model.name).await;

    let again = home.path().join("again");
    let file = backup.join("sessions/t/m.safetensors");
    let mut bytes = std::fs::read(&file).expect("the model's file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let (status, said) = program(&["restore", path(&backup), "--data-dir", path(&again)]).await;
    assert!(
        !status.success() && said.contains("sessions/t/models/m"),
        "{said}"
    );
}

/// A file, what happens to it, and what is said of it.
type Damage<'a> = (&'a Path, &'a dyn Fn(&Path), &'a str);

/// Changes a byte of a file, at this part of its length.
fn spoil(file: &Path, part: usize) {
    let mut bytes = std::fs::read(file).expect("it is there");
    let at = bytes.len() * part / 100;
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("writable");
}

#[tokio::test]
async fn each_damage_of_a_backup_is_named_and_the_rest_is_restored() {
    let home = TempDir::new().expect("a folder");
    let data = home.path().join("data");
    let mut process = Process::start(&data, &Setting::default())
        .await
        .expect("it starts");
    let mut client = process.client().await;
    for session in ["lab", "t"] {
        create(&process.address, &mut client, session, homework_with_adam()).await;
    }
    upload(&process.address).await;
    let backup = home.path().join("backup");
    let (status, said) = program(&["backup", path(&backup), "--data-dir", path(&data)]).await;
    assert!(status.success() && said.contains(", checked\n"), "{said}");
    process.child.kill().await.expect("it is killed");

    let lab = backup.join("sessions/lab");
    let dataset = std::fs::read_dir(&lab).expect("listed");
    let dataset = dataset
        .map(|entry| entry.expect("an entry").path())
        .find(|file| file.to_string_lossy().contains("rows"))
        .expect("the dataset's file");
    let (record, manifest, model) = (
        lab.join("session.json"),
        backup.join("manifest"),
        backup.join("sessions/t/m.safetensors"),
    );
    let remove = |file: &Path| std::fs::remove_file(file).expect("it is there");
    let damages: [Damage<'_>; 6] = [
        (
            &dataset,
            &|file| spoil(file, 95),
            "damaged: sessions/lab/datasets/rows: its content is not what was written",
        ),
        (
            &dataset,
            &|file| std::fs::write(file, "short").expect("writable"),
            "damaged: sessions/lab/datasets/rows: ",
        ),
        (&record, &|file| spoil(file, 50), "damaged: sessions/lab: "),
        (
            &manifest,
            &|file| spoil(file, 40),
            "damaged: the manifest: 1 of its entries cannot be read",
        ),
        (
            &manifest,
            &|file| remove(file),
            "damaged: the manifest: it is missing",
        ),
        (
            &model,
            &|file| remove(file),
            "damaged: the files of sessions/t/models/m are gone",
        ),
    ];
    let mut at = 0;
    let mut restore = async || {
        at += 1;
        let to = home.path().join(format!("restored-{at}"));
        let restored = program(&["restore", path(&backup), "--data-dir", path(&to)]).await;
        (to, restored)
    };
    for (file, damage, part) in damages {
        let before = std::fs::read(file).expect("it is there");
        damage(file);
        let (to, (status, said)) = restore().await;
        assert_eq!(status.code(), Some(1), "{part}: {said}");
        assert!(said.contains(part), "{part}: {said}");
        assert!(said.contains("checked: 1 damaged"), "{said}");
        assert!(to.join("sessions").exists(), "{said}");
        std::fs::write(file, before).expect("writable");
    }
    let (_, (status, said)) = restore().await;
    assert!(status.success() && said.contains(", checked\n"), "{said}");
    // All of them at once, and in a backup of the folder, too.
    for (file, damage, _) in [damages[0], damages[2], damages[5]] {
        damage(file);
    }
    let (restored, (status, said)) = restore().await;
    assert_eq!(status.code(), Some(1), "{said}");
    for part in [damages[0].2, damages[2].2, damages[5].2, "3 damaged"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let again = home.path().join("again");
    let (status, said) = program(&["backup", path(&again), "--data-dir", path(&restored)]).await;
    assert_eq!(status.code(), Some(1), "{said}");
    for part in [damages[0].2, damages[2].2, "2 damaged"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        said.contains("sessions/t/models/m was lost before"),
        "{said}"
    );
    let process = Process::start(&restored, &Setting::default()).await;
    let process = process.expect("a restored folder starts");
    let mut client = process.client().await;
    let status = fixture::get(&mut client, "sessions/t/models/m").await;
    assert_eq!(status.expect_err("it is lost").code(), Code::DataLoss);
}

async fn assert_holds_after(backup: &Path, restored: &Path, name: &str) {
    let (status, said) = program(&["restore", path(backup), "--data-dir", path(restored)]).await;
    assert!(status.success(), "{said}");
    assert_holds(restored, &[(name.to_owned(), 3)]).await;
}

#[tokio::test]
async fn a_restore_leaves_a_folder_with_content_alone() {
    let home = TempDir::new().expect("a folder");
    let data = home.path().join("data");
    let process = Process::start(&data, &Setting::default())
        .await
        .expect("it starts");
    let backup = home.path().join("backup");
    let (status, said) = program(&["backup", path(&backup), "--data-dir", path(&data)]).await;
    assert!(status.success(), "{said}");
    let (status, said) = program(&["backup", path(&backup), "--data-dir", path(&data)]).await;
    assert_eq!(status.code(), Some(2), "{said}");
    let (status, said) = program(&["restore", path(&backup), "--data-dir", path(&data)]).await;
    assert!(
        !status.success() && said.contains("in use by another process"),
        "{said}"
    );
    drop(process);
    let other = home.path().join("other");
    std::fs::create_dir(&other).expect("made");
    std::fs::write(other.join("notes"), "mine").expect("written");
    let (status, said) = program(&["restore", path(&backup), "--data-dir", path(&other)]).await;
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("not empty"), "{said}");
    assert_eq!(std::fs::read_dir(&other).expect("listed").count(), 1);
    let to = home.path().join("b");
    let (status, said) = program(&["backup", path(&to), "--data-dir", path(&other)]).await;
    assert!(
        !status.success() && said.contains("not a data folder"),
        "{said}"
    );
    // A target in the original would be a part of itself.
    let inner = data.join("sessions/none/b");
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&data, &link).expect("made");
    for (command, to, from) in [
        ("backup", data.join("b"), &data),
        ("backup", inner, &data),
        ("backup", link.join("b"), &data),
        ("backup", data.join("b"), &link),
        ("restore", backup.join("b"), &backup),
    ] {
        let (to, from) = (path(&to), path(from));
        let arguments = match command {
            "backup" => [command, to, "--data-dir", from],
            _ => [command, from, "--data-dir", to],
        };
        let (status, said) = program(&arguments).await;
        assert_eq!(status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("outside of it"), "{said}");
        assert!(!Path::new(to).exists());
    }
}
