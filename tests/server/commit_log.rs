//! Small commits lie in a log before they are in files; a crash, a deletion or damage in between changes nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use backpropd::service::pb;
use tempfile::TempDir;
use tonic::Code;

use super::fixture::{
    Server, Training, create, get, homework, homework_with_adam, now, refused, run, train, until,
};

/// What a crash leaves: the files as they are while the server goes on.
fn crashed(folder: &TempDir) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("made");
        for entry in fs::read_dir(from).expect("listed") {
            let from = entry.expect("listed").path();
            let to = to.join(from.file_name().expect("a name"));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                fs::copy(&from, to).expect("copied");
            }
        }
    }
    let copied = TempDir::new().expect("a folder");
    copy(folder.path(), copied.path());
    copied
}

fn segments(folder: &TempDir) -> Vec<PathBuf> {
    let log = fs::read_dir(folder.path().join("log"));
    let names = log.into_iter().flatten();
    names.map(|entry| entry.expect("listed").path()).collect()
}

async fn one_step(client: &mut Training, model: &pb::Model) {
    let told = run(client, train(model, 1)).await.expect("it begins");
    let end = told.completed();
    assert_eq!(end.durable_step, Some(end.step));
}

#[tokio::test]
async fn a_small_step_is_in_the_log_when_it_is_acknowledged_and_survives_a_crash() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let (session, id) = model.name.split_once("/models/").expect("a name");
    let path = folder
        .path()
        .join(session)
        .join(format!("{id}.safetensors"));
    let file = fs::read(&path).expect("made with the model");
    for _ in 0..3 {
        one_step(&mut client, &model).await;
    }
    let acknowledged = now(&mut client, &model).await;
    assert_eq!(
        fs::read(&path).expect("read"),
        file,
        "it has not been written"
    );
    assert_eq!(segments(&folder).len(), 1);

    let crash = crashed(&folder);
    let second = Server::on(&crash, |_| ()).await;
    let mut client = second.training().await;
    assert_eq!(now(&mut client, &model).await, acknowledged);
    // What comes after goes on from there, and so does the next crash.
    one_step(&mut client, &model).await;
    let acknowledged = now(&mut client, &model).await;
    let crash = crashed(&crash);
    let third = Server::on(&crash, |_| ()).await;
    let mut client = third.training().await;
    assert_eq!(now(&mut client, &model).await, acknowledged);
}

#[tokio::test]
async fn the_log_is_put_into_files_after_a_while_and_when_the_server_stops() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |config| config.commit_seconds = 1).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    one_step(&mut client, &model).await;
    assert_eq!(segments(&folder).len(), 1);
    until(async || {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        segments(&folder).is_empty()
    })
    .await;
    one_step(&mut client, &model).await;
    assert_eq!(segments(&folder).len(), 1);
    let acknowledged = now(&mut client, &model).await;
    let stopped = server.shut_down().await;
    stopped.expect("it returns").expect("it stops well");
    assert!(segments(&folder).is_empty());
    let server = Server::on(&folder, |_| ()).await;
    let after = now(&mut server.training().await, &model).await;
    assert_eq!(after, acknowledged);
}

#[tokio::test]
async fn a_deleted_model_does_not_come_back_from_the_log_nor_into_its_successor() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let mut make = async |seed| {
        let request = pb::CreateModelRequest {
            model_id: "m".to_owned(),
            seed,
            spec: Some(homework()),
            ..Default::default()
        };
        let made = client.create_model(request).await.expect("made");
        let made = made.into_inner().model.expect("a model");
        one_step(&mut client, &made).await;
        made
    };
    let (gone, anew) = (make(1).await, make(2).await);
    for model in [&gone, &anew] {
        let name = model.name.clone();
        let delete = pb::DeleteModelRequest { name };
        client.delete_model(delete).await.expect("deleted");
    }
    let again = pb::CreateModelRequest {
        session: anew.name.replace("/models/m", ""),
        model_id: "m".to_owned(),
        seed: 3,
        spec: Some(homework()),
        ..Default::default()
    };
    client.create_model(again).await.expect("made anew");
    let acknowledged = now(&mut client, &anew).await;
    assert_eq!(acknowledged.step, 0);

    let crash = crashed(&folder);
    let server = Server::on(&crash, |_| ()).await;
    let mut client = server.training().await;
    let missing = get(&mut client, &gone.name).await.expect_err("deleted");
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(now(&mut client, &anew).await, acknowledged);
}

#[tokio::test]
async fn a_damaged_commit_in_the_log_costs_its_own_model_alone() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let damaged = create(&mut client, homework(), 1).await;
    let sound = create(&mut client, homework(), 2).await;
    for model in [&damaged, &sound] {
        one_step(&mut client, model).await;
    }
    let acknowledged = now(&mut client, &sound).await;
    let crash = crashed(&folder);
    let segment = segments(&crash).pop().expect("a segment");
    let mut bytes = fs::read(&segment).expect("read");
    let word = b"layer1.weight";
    let at = bytes.windows(word.len()).position(|bytes| bytes == word);
    bytes[at.expect("the first commit's")] ^= 1;
    fs::write(&segment, bytes).expect("written");

    let server = Server::on(&crash, |_| ()).await;
    let mut client = server.training().await;
    assert_eq!(now(&mut client, &sound).await, acknowledged);
    let lost = get(&mut client, &damaged.name).await.expect_err("damaged");
    refused(&lost, Code::DataLoss, "DATA_LOSS");
    for fact in ["log", "quarantine", "step 0"] {
        assert!(lost.message().contains(fact), "{fact}: {}", lost.message());
    }
}
