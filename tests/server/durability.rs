//! What a server with a data folder keeps: everything that it acknowledged, over restarts and failing disks.

use std::fs;
use std::path::{Path, PathBuf};

use backpropd::config::Config;
use backpropd::rpc::pb;
use backpropd::server::{HostError, ServeError, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::Code;

use super::fixture::{
    FOREVER, Server, create, get, homework, homework_parameters, homework_with_adam, now, refused,
    run, tensor, train, under_way, until,
};

async fn server(folder: &TempDir) -> Server {
    Server::on(folder, |_| ()).await
}

/// Stops the server and starts another on the same folder.
async fn restart(server: Server, folder: &TempDir) -> Server {
    let stopped = server.shut_down().await;
    stopped.expect("it returns").expect("it stops well");
    self::server(folder).await
}

fn named(mut request: pb::TrainBatchRequest, id: &str) -> pb::TrainBatchRequest {
    request.request_id = id.to_owned();
    request
}

/// The file of a model's last commit.
fn file(folder: &Path, model: &pb::Model) -> PathBuf {
    let (session, id) = model.name.split_once("/models/").expect("a model's name");
    folder.join(session).join(format!("{id}.safetensors"))
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = TempDir::new().expect("a folder");
    let server = self::server(&folder).await;
    let mut client = server.training().await;
    let trained = create(&mut client, homework_with_adam(), 1).await;
    let request = named(train(&trained, 7), "seven steps");
    let told = run(&mut client, request.clone()).await.expect("it trains");
    assert_eq!(told.completed().durable_step, Some(7));
    let replaced = create(&mut client, homework(), 2).await;
    let replacement = pb::SetParametersRequest {
        model: replaced.name.clone(),
        parameters: homework_parameters(),
        ..Default::default()
    };
    client
        .set_parameters(replacement)
        .await
        .expect("they are replaced");
    let deleted = create(&mut client, homework(), 3).await;
    let delete = pb::DeleteModelRequest {
        name: deleted.name.clone(),
    };
    client.delete_model(delete).await.expect("it is deleted");
    let trained = get(&mut client, &trained.name).await.expect("it is there");
    let replaced = get(&mut client, &replaced.name).await.expect("it is there");

    let server = restart(server, &folder).await;
    let mut client = server.training().await;
    assert_eq!(
        get(&mut client, &trained.name).await.expect("kept"),
        trained
    );
    assert_eq!(
        get(&mut client, &replaced.name).await.expect("kept"),
        replaced
    );
    let gone = get(&mut client, &deleted.name).await;
    assert_eq!(gone.expect_err("it was deleted").code(), Code::NotFound);

    let again = run(&mut client, request).await.expect("it is answered");
    assert_eq!(again.completed().steps_done, 7);
    assert_eq!(again.completed().weights_digest, trained.weights_digest);
    assert_eq!(get(&mut client, &trained.name).await.expect("kept").step, 7);
}

#[tokio::test]
async fn training_goes_on_after_a_restart_as_if_there_had_been_none() {
    let mut digests = Vec::new();
    for restarts in [false, true] {
        let folder = TempDir::new().expect("a folder");
        let mut server = self::server(&folder).await;
        let model = create(&mut server.training().await, homework_with_adam(), 5).await;
        for _ in 0..4 {
            if restarts {
                server = restart(server, &folder).await;
            }
            let mut client = server.training().await;
            run(&mut client, train(&model, 3)).await.expect("it trains");
        }
        let mut client = server.training().await;
        digests.push(
            get(&mut client, &model.name)
                .await
                .expect("kept")
                .weights_digest,
        );
    }
    assert_eq!(digests[0], digests[1]);
}

#[tokio::test]
async fn sessions_and_the_requests_that_made_models_are_kept() {
    let folder = TempDir::new().expect("a folder");
    let server = self::server(&folder).await;
    let session = pb::CreateSessionRequest {
        session_id: "kept".to_owned(),
        request_id: "a session".to_owned(),
        ..Default::default()
    };
    let empty = pb::CreateSessionRequest {
        session_id: "deleted".to_owned(),
        ..Default::default()
    };
    let mut sessions = server.sessions().await;
    let made = sessions
        .create_session(session.clone())
        .await
        .expect("made");
    sessions.create_session(empty).await.expect("made");
    let delete = pb::DeleteSessionRequest {
        name: "sessions/deleted".to_owned(),
    };
    sessions.delete_session(delete).await.expect("deleted");
    let model = pb::CreateModelRequest {
        session: "sessions/kept".to_owned(),
        spec: Some(homework()),
        request_id: "a model".to_owned(),
        ..Default::default()
    };
    let mut client = server.training().await;
    let first = client.create_model(model.clone()).await.expect("made");
    let first = first.into_inner().model.expect("a model");

    let server = restart(server, &folder).await;
    let mut sessions = server.sessions().await;
    let again = sessions.create_session(session).await.expect("answered");
    let created =
        |reply: &pb::CreateSessionResponse| reply.session.clone().expect("one").create_time;
    assert_eq!(created(again.get_ref()), created(made.get_ref()));
    let gone = pb::GetSessionRequest {
        name: "sessions/deleted".to_owned(),
    };
    let gone = sessions.get_session(gone).await.expect_err("deleted");
    assert_eq!(gone.code(), Code::NotFound);
    let mut client = server.training().await;
    let again = client.create_model(model).await.expect("answered");
    assert_eq!(again.into_inner().model.expect("a model"), first);
}

#[tokio::test]
async fn a_damaged_snapshot_costs_its_own_model_alone() {
    let folder = TempDir::new().expect("a folder");
    let server = self::server(&folder).await;
    let mut client = server.training().await;
    let damaged = create(&mut client, homework(), 1).await;
    let sound = create(&mut client, homework(), 2).await;
    run(&mut client, train(&damaged, 2))
        .await
        .expect("it trains");
    let stopped = server.shut_down().await;
    stopped.expect("it returns").expect("it stops well");
    let path = file(folder.path(), &damaged);
    let mut bytes = fs::read(&path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&path, bytes).expect("written");

    let server = self::server(&folder).await;
    let mut client = server.training().await;
    get(&mut client, &sound.name).await.expect("it is sound");
    let lost = get(&mut client, &damaged.name).await.expect_err("damaged");
    refused(&lost, Code::DataLoss, "DATA_LOSS");
    let told = lost.message();
    for fact in ["checksum", "quarantine", "step 0", &damaged.name] {
        assert!(told.contains(fact), "{fact}: {told}");
    }
    let predict = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(damaged.name.clone())),
        inputs: Some(tensor([1, 4], &[1.0; 4])),
        ..Default::default()
    };
    let lost = client.predict(predict).await.expect_err("damaged");
    assert_eq!(lost.code(), Code::DataLoss);

    // Nor does the commit before it take its place in silence, at any later start.
    let server = restart(server, &folder).await;
    let mut client = server.training().await;
    let lost = get(&mut client, &damaged.name).await.expect_err("damaged");
    refused(&lost, Code::DataLoss, "DATA_LOSS");
    let delete = pb::DeleteModelRequest {
        name: damaged.name.clone(),
    };
    client.delete_model(delete).await.expect("it is forgotten");
    let gone = get(&mut client, &damaged.name).await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn what_cannot_be_written_is_taken_back_and_works_again_when_the_disk_does() {
    let folder = TempDir::new().expect("a folder");
    let server = self::server(&folder).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    run(&mut client, train(&model, 3)).await.expect("it trains");
    let before = get(&mut client, &model.name).await.expect("it is there");
    // A folder that is gone fails every user's writes, root's too.
    let session = file(folder.path(), &model);
    let session = session.parent().expect("a folder").to_owned();
    let away = folder.path().join("away");
    fs::rename(&session, &away).expect("moved");

    let request = named(train(&model, 5), "five steps");
    let told = run(&mut client, request.clone()).await.expect("it begins");
    refused(told.error(), Code::Unavailable, "NOT_STORED");
    let replacement = pb::SetParametersRequest {
        model: model.name.clone(),
        parameters: homework_parameters(),
        ..Default::default()
    };
    let refusal = client.set_parameters(replacement).await;
    refused(
        &refusal.expect_err("not stored"),
        Code::Unavailable,
        "NOT_STORED",
    );
    let after = get(&mut client, &model.name).await.expect("it is there");
    assert_eq!(
        (after.step, after.weights_digest),
        (before.step, before.weights_digest)
    );

    fs::rename(&away, &session).expect("moved back");
    let told = run(&mut client, request).await.expect("it trains");
    assert_eq!(told.completed().durable_step, Some(8));
    assert_eq!(told.completed().steps_done, 5);
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let _server = self::server(&folder).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = Config {
        data_dir: folder.path().to_str().expect("text").to_owned(),
        ..Config::default()
    };
    // The first one opens the folder in a task of its own.
    _server.channel().await;
    let refusal = serve(listener, config, std::future::pending()).await;
    assert!(
        matches!(refusal, Err(ServeError::Host(HostError::Store(_)))),
        "{refusal:?}"
    );
}

fn relaxed(request: pb::TrainBatchRequest) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        durability: pb::Durability::Relaxed.into(),
        ..request
    }
}

#[tokio::test]
async fn relaxed_steps_are_acknowledged_from_memory_and_written_down_soon() {
    let folder = TempDir::new().expect("a folder");
    let server = self::server(&folder).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    let request = named(relaxed(train(&model, 3)), "three steps");
    let told = run(&mut client, request.clone()).await.expect("it trains");
    assert_eq!(told.completed().step, 3);
    assert_eq!(told.completed().durable_step, Some(0), "not on disk yet");
    until(async || now(&mut client, &model).await.durable_step == Some(3)).await;

    // The same request as DURABLE is answered once it is on disk.
    let request = named(relaxed(train(&model, 4)), "four steps");
    run(&mut client, request.clone()).await.expect("it trains");
    let durable = pb::TrainBatchRequest {
        durability: pb::Durability::Durable.into(),
        ..request
    };
    let told = run(&mut client, durable).await.expect("it is answered");
    assert!(told.started.replayed);
    assert_eq!(told.completed().durable_step, Some(7));
}

#[tokio::test]
async fn what_was_taken_back_is_written_over_as_soon_as_the_disk_works() {
    let folder = TempDir::new().expect("a folder");
    let server = self::server(&folder).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    run(&mut client, train(&model, 3)).await.expect("it trains");
    let before = now(&mut client, &model).await;
    let path = file(folder.path(), &model);
    let session = path.parent().expect("a folder").to_owned();
    let away = folder.path().join("away");
    fs::rename(&session, &away).expect("moved");
    let told = run(&mut client, train(&model, 5)).await.expect("it begins");
    refused(told.error(), Code::Unavailable, "NOT_STORED");
    // As a commit leaves it that failed in its very last sync.
    let copy = away.join(path.file_name().expect("a name"));
    fs::write(&copy, b"the step that was taken back").expect("written");
    fs::rename(&away, &session).expect("moved back");

    // Nobody calls; evicted and read again before, it would be what was taken back.
    // For a moment, between two renames, there is no file of this name.
    until(async || fs::read(&path).is_ok_and(|file| file != b"the step that was taken back")).await;
    let server = restart(server, &folder).await;
    let after = now(&mut server.training().await, &model).await;
    let facts = |model: pb::Model| (model.step, model.weights_digest);
    assert_eq!(facts(after), facts(before));
}

#[tokio::test]
async fn relaxed_steps_survive_an_orderly_stop_and_a_disk_that_fails_for_a_while() {
    let folder = TempDir::new().expect("a folder");
    let server = self::server(&folder).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    let session = file(folder.path(), &model);
    let session = session.parent().expect("a folder").to_owned();
    let away = folder.path().join("away");
    fs::rename(&session, &away).expect("moved");
    let request = named(relaxed(train(&model, 3)), "three steps");
    let told = run(&mut client, request.clone()).await.expect("it trains");
    assert_eq!(told.completed().durable_step, Some(0));
    // A durable run that fails takes back its own steps, not those acknowledged before.
    let told = run(&mut client, train(&model, 2)).await.expect("it begins");
    refused(told.error(), Code::Unavailable, "NOT_STORED");
    assert_eq!(now(&mut client, &model).await.step, 3);
    fs::rename(&away, &session).expect("moved back");
    until(async || now(&mut client, &model).await.durable_step == Some(3)).await;

    run(&mut client, relaxed(train(&model, 2)))
        .await
        .expect("it trains");
    let before = now(&mut client, &model).await;
    let server = restart(server, &folder).await;
    let after = now(&mut server.training().await, &model).await;
    assert_eq!(
        (after.step, after.weights_digest),
        (5, before.weights_digest)
    );
}

#[tokio::test]
async fn a_long_run_is_committed_now_and_then_and_resumes_from_there() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |config| config.commit_seconds = 1).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    let request = named(train(&model, FOREVER), "a long run");
    let (_, stream) = under_way(&mut client, request.clone()).await;
    until(async || now(&mut client, &model).await.durable_step > Some(0)).await;

    // What a crash would leave: the files as they are while the run goes on.
    let crashed = TempDir::new().expect("a folder");
    let copy = |name: &str| {
        let from = file(folder.path(), &model).with_file_name(name);
        let to = file(crashed.path(), &model).with_file_name(name);
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(from, to).expect("copied");
    };
    copy("session.json");
    let id = model.name.rsplit('/').next().expect("an id");
    copy(&format!("{id}.safetensors"));
    drop(stream);

    let server = self::server(&crashed).await;
    let mut client = server.training().await;
    let restored = now(&mut client, &model).await;
    assert!(restored.step > 0);
    let (started, _stream) = under_way(&mut client, request).await;
    assert_eq!(started.resumed_steps, restored.step);
    assert_eq!(started.step, restored.step);
}
