//! Limits that were lowered between two starts: what is above them stays, is read, exported and deleted, and does not
//! train; raised again, everything is as it was.

use backpropd::config::Config;
use backpropd::rpc::pb;
use tempfile::TempDir;
use tonic::{Code, Status};

use super::fixture::{
    Server, Training, copy_of, create_in, create_session, fact, get, homework, homework_with_adam,
    next, refused, run, tensor, train, wide,
};

/// A model trained by a request that is to be executed once.
async fn trained(server: &Server, session: &str, spec: pb::ModelSpec) -> pb::Model {
    let model = create_in(server, session, spec).await.expect("room");
    let mut client = server.training().await;
    run(&mut client, asked(&model)).await.expect("it trains");
    get(&mut client, &model.name).await.expect("it is there")
}

fn asked(model: &pb::Model) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        request_id: "three steps".to_owned(),
        ..train(model, 3)
    }
}

async fn export(client: &mut Training, name: &str) -> Result<usize, Status> {
    let name = name.to_owned();
    let reply = client.export_model(pb::ExportModelRequest { name }).await?;
    let mut pieces = reply.into_inner();
    let mut bytes = 0;
    while let Some(piece) = next(&mut pieces).await? {
        bytes += piece.data.len();
    }
    Ok(bytes)
}

/// Everything but a change of the model.
async fn assert_readable(client: &mut Training, model: &pb::Model) {
    let there = get(client, &model.name).await.expect("it is there");
    assert_eq!(&there, model);
    let request = pb::GetParametersRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    client.get_parameters(request).await.expect("its weights");
    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        inputs: Some(tensor([1, 4], &[1.0, 2.0, 3.0, 4.0])),
        targets: Some(tensor([1, 1], &[1.0])),
        ..Default::default()
    };
    client.gradients(gradients).await.expect("its gradients");
    assert!(export(client, &model.name).await.expect("a file") > 500);
}

/// A lowered limit, its name, and how many of the five models are above it.
type Lowered = (&'static str, fn(&mut Config), usize);

#[tokio::test]
async fn what_is_above_a_lowered_limit_stays_is_read_and_does_not_train() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut models = Vec::new();
    for session in ["a", "b"] {
        let session = create_session(&server, session).await.expect("room");
        for spec in [homework(), wide()] {
            models.push(trained(&server, &session, spec).await);
        }
    }
    let session = create_session(&server, "c").await.expect("room");
    models.push(trained(&server, &session, homework_with_adam()).await);
    server.stop().await;

    let lowered: [Lowered; 8] = [
        ("max_layers", |c| c.max_layers = 2, 5),
        ("max_units", |c| c.max_units = 100, 2),
        ("max_parameters", |c| c.max_parameters = 1_000, 2),
        ("max_models", |c| c.max_models = 1, 4),
        (
            "max_models_per_session",
            |c| c.max_models_per_session = 1,
            2,
        ),
        ("max_sessions", |c| c.max_sessions = 1, 3),
        // 17,281 parameters in three parts of eight bytes are 0.41 MB.
        (
            "max_total_parameter_bytes",
            |c| c.max_total_parameter_bytes = 500_000,
            2,
        ),
        (
            "max_session_parameter_bytes",
            |c| c.max_session_parameter_bytes = 1_000,
            2,
        ),
    ];
    for (setting, lower, above) in lowered {
        let copy = copy_of(&folder);
        // Absurdly low, and what they take away is what they would take away of more.
        let server = Server::on(&copy, lower).await;
        let mut client = server.training().await;
        for model in &models {
            assert_readable(&mut client, model).await;
            let again = run(&mut client, asked(model)).await;
            assert!(again.expect("an answer stays").started.replayed);
        }
        let mut refusals = 0;
        for model in &models {
            let Err(over) = run(&mut client, train(model, 1)).await else {
                continue;
            };
            refusals += 1;
            assert_over(&over, setting);
            let replacement = pb::SetParametersRequest {
                model: model.name.clone(),
                parameters: parameters(&mut client, model).await,
                ..Default::default()
            };
            let over = client.set_parameters(replacement).await;
            assert_over(&over.expect_err("a change"), setting);
            assert_eq!(&get(&mut client, &model.name).await.expect("kept"), model);
        }
        assert_eq!(refusals, above, "{setting}");
        server.stop().await;

        let server = Server::on(&copy, |_| ()).await;
        let mut client = server.training().await;
        for model in &models {
            let again = run(&mut client, asked(model)).await.expect("answered");
            assert!(again.started.replayed);
            run(&mut client, train(model, 1)).await.expect("it trains");
        }
        assert!(
            !copy.path().join("quarantine").exists(),
            "nothing is damaged"
        );
        server.stop().await;
    }
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    for model in &models {
        assert_eq!(&get(&mut client, &model.name).await.expect("kept"), model);
    }
}

#[track_caller]
fn assert_over(status: &Status, setting: &str) {
    refused(status, Code::FailedPrecondition, "OVER_LIMIT");
    assert_eq!(fact(status, "setting"), setting);
    let number = |key| fact(status, key).parse::<u64>().expect("a number");
    assert!(number("found") > number("limit"), "{status:?}");
    assert!(status.message().contains("exported"), "{status:?}");
}

async fn parameters(client: &mut Training, model: &pb::Model) -> Vec<pb::LayerParameters> {
    let request = pb::GetParametersRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let reply = client.get_parameters(request).await.expect("its weights");
    reply.into_inner().parameters
}

#[tokio::test]
async fn deleting_makes_room_for_the_next_model_to_train() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let session = create_session(&server, "a").await.expect("room");
    let mut models = Vec::new();
    for _ in 0..3 {
        models.push(trained(&server, &session, homework()).await);
    }
    server.stop().await;
    let server = Server::on(&folder, |c| c.max_models_per_session = 1).await;
    let mut client = server.training().await;
    run(&mut client, train(&models[0], 1))
        .await
        .expect("the oldest trains");
    for model in &models[1..] {
        let over = run(&mut client, train(model, 1)).await.err();
        refused(
            &over.expect("above"),
            Code::FailedPrecondition,
            "OVER_LIMIT",
        );
    }
    for gone in &models[..2] {
        let name = gone.name.clone();
        client
            .delete_model(pb::DeleteModelRequest { name })
            .await
            .expect("deleted");
    }
    run(&mut client, train(&models[2], 1))
        .await
        .expect("there is room");
    let refusal = create_in(&server, &session, homework()).await;
    refused(
        &refusal.expect_err("full"),
        Code::ResourceExhausted,
        "QUOTA",
    );
}

#[tokio::test]
async fn a_lowered_number_of_remembered_requests_forgets_no_answer() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let session = create_session(&server, "a").await.expect("room");
    let model = create_in(&server, &session, homework())
        .await
        .expect("room");
    let mut client = server.training().await;
    let request = |id: usize| pb::TrainBatchRequest {
        request_id: format!("request {id}"),
        ..train(&model, 1)
    };
    for id in 0..8 {
        run(&mut client, request(id)).await.expect("it trains");
    }
    server.stop().await;
    for remembered in [2, 64] {
        let server = Server::on(&folder, |c| c.request_ids_per_model = remembered).await;
        let mut client = server.training().await;
        for id in 0..8 {
            let again = run(&mut client, request(id)).await.expect("answered");
            assert!(again.started.replayed, "request {id} of {remembered}");
        }
        let there = get(&mut client, &model.name).await.expect("kept");
        assert_eq!(there.step, 8);
        server.stop().await;
    }
}
