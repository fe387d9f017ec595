//! Idle models leave memory and come back as they were.

use std::fs;

use backpropd::config::Config;
use backpropd::rpc::pb;
use pb::server_service_client::ServerServiceClient;
use tempfile::TempDir;
use tonic::Code;

use crate::fixture::{
    FOREVER, Hands, Server, Training, create, get, homework, homework_with_adam, let_it_look, now,
    refused, run, train, under_way,
};

/// Lets every model be idle for longer than it may be, until so many are in memory.
async fn idle_until(hands: &Hands, server: &Server, models: i32) {
    hands.pass(Config::default().evict_after_seconds + 1);
    while resident(server).await != models {
        let_it_look().await;
    }
}

/// Models in memory.
async fn resident(server: &Server) -> i32 {
    let mut client = ServerServiceClient::new(server.channel().await);
    let info = client
        .get_server_info(pb::GetServerInfoRequest::default())
        .await;
    info.expect("it tells").into_inner().resident_models
}

async fn trained(client: &mut Training) -> (pb::Model, pb::TrainBatchRequest) {
    let model = create(client, homework_with_adam(), 1).await;
    let request = pb::TrainBatchRequest {
        request_id: "five steps".to_owned(),
        ..train(&model, 5)
    };
    run(client, request.clone()).await.expect("it trains");
    (model, request)
}

#[tokio::test]
async fn an_idle_model_leaves_memory_and_goes_on_as_if_it_had_not() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut client = server.training().await;
    let (model, request) = trained(&mut client).await;
    let before = now(&mut client, &model).await;
    idle_until(&hands, &server, 0).await;

    assert_eq!(now(&mut client, &model).await, before);
    assert_eq!(resident(&server).await, 1, "it is back");
    let again = run(&mut client, request).await.expect("it is answered");
    assert!(again.started.replayed);
    run(&mut client, train(&model, 5)).await.expect("it trains");

    let stays = Server::start().await;
    let mut other = stays.training().await;
    let (twin, _) = trained(&mut other).await;
    run(&mut other, train(&twin, 5)).await.expect("it trains");
    assert_eq!(
        now(&mut client, &model).await.weights_digest,
        now(&mut other, &twin).await.weights_digest
    );
}

#[tokio::test]
async fn what_left_memory_is_listed_deleted_and_made_only_once() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut client = server.training().await;
    let (model, _) = trained(&mut client).await;
    let session = model.name.split("/models/").next().expect("a session");
    let request = pb::CreateModelRequest {
        session: session.to_owned(),
        spec: Some(homework()),
        request_id: "a model".to_owned(),
        ..Default::default()
    };
    let made = client.create_model(request.clone()).await.expect("made");
    idle_until(&hands, &server, 0).await;
    let again = client.create_model(request).await.expect("answered");
    assert_eq!(again.into_inner().model, made.into_inner().model);
    idle_until(&hands, &server, 0).await;
    let list = pb::ListModelsRequest {
        session: session.to_owned(),
        ..Default::default()
    };
    let listed = client.list_models(list).await.expect("listed").into_inner();
    assert_eq!(listed.models.len(), 2);
    idle_until(&hands, &server, 0).await;
    let delete = pb::DeleteModelRequest {
        name: model.name.clone(),
    };
    client.delete_model(delete).await.expect("deleted");
    let gone = get(&mut client, &model.name).await.expect_err("deleted");
    refused(&gone, Code::NotFound, "NOT_FOUND");
}

#[tokio::test]
async fn what_somebody_uses_stays() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut client = server.training().await;
    let (idle, _) = trained(&mut client).await;
    let used = create(&mut client, homework(), 2).await;
    let watched = create(&mut client, homework(), 3).await;
    let (_, _stream) = under_way(&mut client, train(&used, FOREVER)).await;
    let watch = pb::WatchModelRequest {
        model: watched.name,
        ..Default::default()
    };
    let _watch = client.watch_model(watch).await.expect("it is there");
    idle_until(&hands, &server, 2).await;
    now(&mut client, &idle).await;
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_while_its_model_is_away_is_data_loss() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut client = server.training().await;
    let (model, _) = trained(&mut client).await;
    let (sound, _) = trained(&mut client).await;
    idle_until(&hands, &server, 0).await;
    let (session, id) = model.name.split_once("/models/").expect("a name");
    let file = folder
        .path()
        .join(session)
        .join(format!("{id}.safetensors"));
    let whole = fs::read(&file).expect("it is there");
    fs::write(&file, &whole[..whole.len() - 9]).expect("cut off");
    for _ in 0..2 {
        let lost = get(&mut client, &model.name).await.expect_err("damaged");
        refused(&lost, Code::DataLoss, "DATA_LOSS");
    }
    now(&mut client, &sound).await;
}
