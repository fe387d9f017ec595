//! Small commits lie in a log before they are in files; a crash, a deletion or damage in between changes nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use backpropd::rpc::pb;
use backpropd::store::{Kind, Record, Store};
use tempfile::TempDir;
use tonic::Code;

use super::fixture::{
    FOREVER, Server, Training, create, get, homework, homework_with_adam, now, refused, run,
    tensor, train, under_way, until, wide,
};

/// What a crash leaves: the files as they are while the server goes on.
pub fn crashed(folder: &TempDir) -> TempDir {
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

/// The model's file.
fn file(folder: &TempDir, model: &pb::Model) -> Vec<u8> {
    let path = folder.path().join(model.name.replace("/models/", "/"));
    fs::read(path.with_extension("safetensors")).expect("made with the model")
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
    let made = file(&folder, &model);
    for _ in 0..3 {
        one_step(&mut client, &model).await;
    }
    let acknowledged = now(&mut client, &model).await;
    assert_eq!(file(&folder, &model), made, "it has not been written");
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
    until(async || segments(&folder).is_empty()).await;
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

#[tokio::test]
async fn runs_of_a_large_model_are_done_again_after_a_crash_and_its_file_is_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    let made = file(&folder, &model);
    one_step(&mut client, &model).await;
    let shuffled = pb::TrainBatchRequest {
        minibatch_size: 1,
        shuffle_seed: Some(4),
        request_id: "shuffled".to_owned(),
        ..train(&model, 5)
    };
    let told = run(&mut client, shuffled.clone()).await.expect("it begins");
    let end = told.completed().clone();
    one_step(&mut client, &model).await;
    let acknowledged = now(&mut client, &model).await;
    assert_eq!(file(&folder, &model), made, "it has not been written");
    let log: u64 = segments(&folder)
        .iter()
        .map(|path| fs::read(path).expect("read"))
        .map(|bytes| bytes.iter().filter(|byte| **byte != 0).count() as u64)
        .sum();
    assert!(log < 10_000, "{log} bytes for a model of 0.4 MB");

    let crash = crashed(&folder);
    let second = Server::on(&crash, |_| ()).await;
    let mut client = second.training().await;
    assert_eq!(now(&mut client, &model).await, acknowledged);
    assert_ne!(file(&crash, &model), made, "it is in its file now");
    // What it remembers came back, too.
    let again = run(&mut client, shuffled).await.expect("it is known");
    assert!(again.started.replayed);
    assert_eq!(again.completed().weights_digest, end.weights_digest);
    // The optimizer as well: the next step is the one that it would have been.
    one_step(&mut client, &model).await;
    one_step(&mut server.training().await, &model).await;
    let acknowledged = now(&mut client, &model).await;
    let undisturbed = now(&mut server.training().await, &model).await;
    assert_eq!(acknowledged.weights_digest, undisturbed.weights_digest);
    let crash = crashed(&crash);
    let third = Server::on(&crash, |_| ()).await;
    assert_eq!(now(&mut third.training().await, &model).await, acknowledged);
}

/// A crash now would leave the model as it is; the server that is started on that.
async fn survives(folder: &TempDir, server: &Server, model: &pb::Model) -> (TempDir, Server) {
    let acknowledged = now(&mut server.training().await, model).await;
    assert_eq!(acknowledged.durable_step, Some(acknowledged.step));
    let crash = crashed(folder);
    let again = Server::on(&crash, |_| ()).await;
    assert_eq!(now(&mut again.training().await, model).await, acknowledged);
    (crash, again)
}

#[tokio::test]
async fn whatever_else_changes_a_large_model_is_not_lost_between_its_runs() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    let get = pb::GetParametersRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let first = client.get_parameters(get).await.expect("there");
    one_step(&mut client, &model).await;
    let relaxed = pb::TrainBatchRequest {
        durability: pb::Durability::Relaxed.into(),
        ..train(&model, 2)
    };
    let told = run(&mut client, relaxed).await.expect("it begins");
    told.completed();
    // Not on disk when this one begins, which is.
    one_step(&mut client, &model).await;
    survives(&folder, &server, &model).await;

    let diverges = pb::TrainBatchRequest {
        learning_rate: Some(1e300),
        request_id: "diverges".to_owned(),
        ..train(&model, 9)
    };
    let told = run(&mut client, diverges.clone()).await.expect("it begins");
    refused(told.error(), Code::FailedPrecondition, "DIVERGED");
    let (_crash, again) = survives(&folder, &server, &model).await;
    let told = run(&mut again.training().await, diverges).await;
    let told = told.expect("it is known");
    assert!(told.started.replayed);
    refused(told.error(), Code::FailedPrecondition, "DIVERGED");

    let set = pb::SetParametersRequest {
        model: model.name.clone(),
        parameters: first.into_inner().parameters,
        ..Default::default()
    };
    client.set_parameters(set).await.expect("they fit");
    survives(&folder, &server, &model).await;
    one_step(&mut client, &model).await;
    survives(&folder, &server, &model).await;
}

#[tokio::test]
async fn the_end_of_a_long_run_is_done_again_from_its_last_commit_on_the_way() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |config| config.commit_seconds = 2).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    // Shuffled, so that which sample a step takes depends on its place in the run; one input with two targets, so that
    // it never settles.
    let endless = pb::TrainBatchRequest {
        inputs: Some(tensor([2, 4], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0])),
        minibatch_size: 1,
        shuffle_seed: Some(4),
        request_id: "endless".to_owned(),
        ..train(&model, FOREVER)
    };
    let (_, stream) = under_way(&mut client, endless.clone()).await;
    let on_the_way = async || now(&mut server.training().await, &model).await.durable_step;
    until(async || on_the_way().await > Some(0)).await;
    drop(stream);
    until(async || !now(&mut server.training().await, &model).await.training).await;
    let acknowledged = now(&mut client, &model).await;
    assert_eq!(acknowledged.durable_step, Some(acknowledged.step));
    let crash = crashed(&folder);
    let log = segments(&crash).pop().expect("a segment");
    let word = b"minibatch_size";
    let has_run = |bytes: Vec<u8>| bytes.windows(word.len()).any(|bytes| bytes == word);
    assert!(
        has_run(fs::read(log).expect("read")),
        "its end is in the log"
    );

    let server = Server::on(&crash, |_| ()).await;
    let mut client = server.training().await;
    assert_eq!(now(&mut client, &model).await, acknowledged);
    let (started, _stream) = under_way(&mut client, endless).await;
    assert_eq!(started.resumed_steps, acknowledged.step);
}

#[tokio::test]
async fn weights_that_another_processor_rounds_otherwise_are_those_of_every_acknowledged_step() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    let before = crashed(&folder);
    for _ in 0..2 {
        one_step(&mut client, &model).await;
    }
    let here = now(&mut client, &model).await;
    let id = model.name.strip_prefix("sessions/").expect("a name");
    let (session, id) = id.split_once("/models/").expect("a name");
    let after = crashed(&folder);
    let logged = Store::open(after.path())
        .expect("it opens")
        .take_logged(session, id);
    let mut logged = logged.expect("it is in the log");
    let mark = logged.mark.expect("it is known");

    // As if the steps had come to other weights where they were acknowledged.
    let last = &mut logged.redos[1];
    let word = b"\\\"after\\\":\\\"";
    let at = last.windows(word.len()).position(|bytes| bytes == word);
    let digest = at.expect("it is there") + word.len();
    last[digest] = if last[digest] == b'0' { b'1' } else { b'0' };
    let record = |content: Vec<u8>| Record {
        session: session.to_owned(),
        model: id.to_owned(),
        anchor: logged.anchor,
        mark,
        kind: Kind::Redo,
        content,
    };
    let records: Vec<Record> = logged.redos.into_iter().map(record).collect();
    let store = Store::open(before.path()).expect("it opens");
    store.log(&records).expect("written");
    drop(store);

    let server = Server::on(&before, |_| ()).await;
    let mut client = server.training().await;
    assert_eq!(now(&mut client, &model).await, here);
    one_step(&mut client, &model).await;
}

#[tokio::test]
async fn a_large_model_is_put_into_its_file_before_a_start_has_too_much_to_do() {
    let folder = TempDir::new().expect("a folder");
    // A slow machine takes so long for a run that its file would be written by time.
    let server = Server::on(&folder, |config| config.commit_seconds = 3600).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    let made = file(&folder, &model);
    let many_steps = || train(&model, 300);
    let mut runs = 0;
    while file(&folder, &model) == made {
        let told = run(&mut client, many_steps()).await.expect("it begins");
        told.completed();
        runs += 1;
    }
    assert!((3..10).contains(&runs), "{runs} runs");
    let made = file(&folder, &model);
    one_step(&mut client, &model).await;
    assert_eq!(file(&folder, &model), made, "then it begins anew");
    let acknowledged = now(&mut client, &model).await;
    let crash = crashed(&folder);
    let server = Server::on(&crash, |_| ()).await;
    assert_eq!(
        now(&mut server.training().await, &model).await,
        acknowledged
    );
}

#[tokio::test]
async fn a_damaged_run_in_the_log_is_told_and_kept_and_the_commit_before_it_is_named() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    for _ in 0..3 {
        one_step(&mut client, &model).await;
    }
    let crash = crashed(&folder);
    let segment = segments(&crash).pop().expect("a segment");
    let mut bytes = fs::read(&segment).expect("read");
    let word = b"minibatch_size";
    let at = bytes.windows(word.len()).position(|bytes| bytes == word);
    bytes[at.expect("the first run's")] ^= 1;
    fs::write(&segment, bytes).expect("written");

    let server = Server::on(&crash, |_| ()).await;
    let mut client = server.training().await;
    let lost = get(&mut client, &model.name).await.expect_err("damaged");
    refused(&lost, Code::DataLoss, "DATA_LOSS");
    for fact in ["log", "quarantine", "step 0"] {
        assert!(lost.message().contains(fact), "{fact}: {}", lost.message());
    }
    let aside = crash.path().join("quarantine/log-0.log");
    until(async || aside.exists()).await;
}
