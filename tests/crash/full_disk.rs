//! A disk of 10 MB that fills up: writes are refused, reads go on, and it heals without a restart.

use std::fs;
use std::path::{Path, PathBuf};

use backpropd::rpc::pb;
use tokio::process::Command;
use tonic::{Code, Status};

use crate::fixture::{
    self, Training, create, homework, layer, numbers, refused, run, tensor, train,
};
use crate::process::{Process, Setting, arguments};

/// A model of about 400 kB.
fn large() -> pb::ModelSpec {
    pb::ModelSpec {
        input_size: 300,
        layers: vec![layer(300, pb::Activation::Unspecified, false)],
        ..homework()
    }
}

/// One step of a large model.
fn step(model: &pb::Model) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        inputs: Some(tensor([1, 300], &numbers(300, 1))),
        targets: Some(tensor([1, 300], &numbers(300, 2))),
        ..train(model, 1)
    }
}

async fn try_create(client: &mut Training, seed: i64) -> Result<pb::Model, Status> {
    let request = pb::CreateModelRequest {
        spec: Some(large()),
        seed,
        ..Default::default()
    };
    let reply = client.create_model(request).await?;
    Ok(reply.into_inner().model.expect("a model"))
}

/// The program on a disk of its own, and the way there from outside; `None` where this machine does not let us mount.
async fn on_a_small_disk(folder: &Path) -> Option<(Process, PathBuf)> {
    let script = "mount -t tmpfs -o size=10m tmpfs \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder)
        .arg(env!("CARGO_BIN_EXE_backpropd"))
        .args(arguments(folder));
    let process = Process::spawn(command).await?;
    let pid = process.child.id().expect("it runs");
    let inside = folder.strip_prefix("/").expect("an absolute path");
    let outside = PathBuf::from(format!("/proc/{pid}/root")).join(inside);
    Some((process, outside))
}

#[tokio::test]
async fn a_full_disk_refuses_writes_keeps_reads_and_heals() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some((mut process, disk)) = on_a_small_disk(folder.path()).await else {
        eprintln!("skipped: this machine does not let an ordinary user mount a tmpfs (unshare)");
        return;
    };
    let mut client = process.client().await;
    let mut models = Vec::new();
    let refusal = loop {
        match try_create(&mut client, models.len() as i64).await {
            Ok(model) => models.push(model),
            Err(refusal) => break refusal,
        }
        assert!(models.len() < 40, "10 MB do not hold that much");
    };
    let details = refused(&refusal, Code::ResourceExhausted, "DISK_FULL");
    assert!(details.retry_info().is_some());

    // Everything reads; what cannot be written is taken back; what is acknowledged from memory waits.
    let model = &models[0];
    let told = run(&mut client, step(model)).await.expect("it begins");
    refused(told.error(), Code::ResourceExhausted, "DISK_FULL");
    fixture::assert_unchanged(&mut client, model).await;
    let relaxed = pb::TrainBatchRequest {
        durability: pb::Durability::Relaxed.into(),
        ..step(&models[1])
    };
    let told = run(&mut client, relaxed).await.expect("it begins");
    assert_eq!(told.completed().durable_step, Some(0));
    for model in &models {
        fixture::get(&mut client, &model.name)
            .await
            .expect("reads go on");
    }

    // Room again, and no restart.
    for model in models.drain(2..4) {
        let delete = pb::DeleteModelRequest { name: model.name };
        client
            .delete_model(delete)
            .await
            .expect("a deletion needs no room");
    }
    let told = run(&mut client, step(&models[0])).await.expect("it begins");
    assert_eq!(told.completed().durable_step, Some(1));
    fixture::until(async || fixture::now(&mut client, &models[1]).await.durable_step == Some(1))
        .await;

    // A copy of the disk is what a crash leaves.
    let copy = tempfile::tempdir().expect("a folder");
    for session in fs::read_dir(disk.join("sessions")).expect("listed") {
        let session = session.expect("listed").path();
        if !session.is_dir() {
            continue;
        }
        let to = copy
            .path()
            .join("sessions")
            .join(session.file_name().expect("a name"));
        fs::create_dir_all(&to).expect("made");
        for file in fs::read_dir(&session).expect("listed") {
            let file = file.expect("listed").path();
            fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    let mut acknowledged = Vec::new();
    for model in &models {
        acknowledged.push(fixture::now(&mut client, model).await);
    }
    process.child.kill().await.expect("it is killed");
    let process = Process::start(copy.path(), &Setting::default())
        .await
        .expect("it starts");
    let mut client = process.client().await;
    for model in acknowledged {
        assert_eq!(
            fixture::now(&mut client, &model).await.weights_digest,
            model.weights_digest
        );
    }
    create(&mut client, homework(), 1).await;
}
