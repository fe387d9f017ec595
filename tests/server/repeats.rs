//! Repeated requests: answered, not done again, and taken up where they were cut short.

use backpropd::rpc::pb;
use tonic::Code;

use crate::fixture::{
    Server, assert_unchanged, create_homework, homework, now, refused, run, train, under_way, until,
};

fn named(model: &pb::Model, steps: i32, id: &str) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        request_id: id.to_owned(),
        ..train(model, steps)
    }
}

#[tokio::test]
async fn a_repeated_run_is_answered_and_not_trained_again() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let first = run(&mut client, named(&model, 10, "a")).await.unwrap();
    let after = now(&mut client, &model).await;
    let again = run(&mut client, named(&model, 10, "a")).await.unwrap();
    assert!(again.started.replayed);
    assert!(again.steps.is_empty());
    let (first, again) = (first.completed(), again.completed());
    assert_eq!(again.weights_digest, first.weights_digest);
    assert_eq!(
        (again.step, again.steps_done),
        (first.step, first.steps_done)
    );
    assert_eq!(again.final_loss, first.final_loss);
    assert_unchanged(&mut client, &after).await;
}

/// What was acknowledged stays acknowledged, and nothing beyond the new limits is done.
#[tokio::test]
async fn a_repeated_run_is_answered_though_limits_were_lowered() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Server::on(&folder, |_| ()).await;
    let mut client = first.training().await;
    let model = create_homework(&mut client).await;
    let done = run(&mut client, named(&model, 10, "a")).await.unwrap();
    first.stop().await;
    let lowered: [fn(&mut backpropd::config::Config); 4] = [
        |config| config.max_batch_rows = 1,
        |config| config.max_steps_per_run = 1,
        |config| config.max_workspace_bytes = 1,
        |config| config.max_call_flops = 1,
    ];
    for lower in lowered {
        let server = Server::on(&folder, lower).await;
        let mut client = server.training().await;
        let again = run(&mut client, named(&model, 10, "a")).await.unwrap();
        assert!(again.started.replayed);
        let digests = [&again, &done].map(|run| &run.completed().weights_digest);
        assert_eq!(digests[0], digests[1]);
        let other = client.train_batch(named(&model, 11, "a")).await;
        let other = other.unwrap_err();
        refused(&other, Code::InvalidArgument, "REQUEST_ID_REUSED");
        let fresh = client.train_batch(named(&model, 10, "b")).await;
        fresh.expect_err("it is beyond the limit");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_repeated_creation_is_answered_though_limits_were_lowered() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Server::on(&folder, |_| ()).await;
    let mut client = first.training().await;
    let other = create_homework(&mut client).await;
    let session = other.name.split_once("/models/").expect("a name").0;
    let request = pb::CreateModelRequest {
        session: session.to_owned(),
        spec: Some(homework()),
        seed: 5,
        request_id: "a".to_owned(),
        ..Default::default()
    };
    let made = client.create_model(request.clone()).await.unwrap();
    let made = made.into_inner().model.expect("a model");
    first.stop().await;
    let lowered: [fn(&mut backpropd::config::Config); 4] = [
        |config| config.max_layers = 1,
        |config| config.max_units = 1,
        |config| config.max_parameters = 1,
        |config| config.max_models = 1,
    ];
    for lower in lowered {
        let server = Server::on(&folder, lower).await;
        let mut client = server.training().await;
        let again = client.create_model(request.clone()).await.unwrap();
        let again = again.into_inner().model.expect("the model");
        assert_eq!(
            (again.name, again.weights_digest),
            (made.name.clone(), made.weights_digest.clone())
        );
        let other = pb::CreateModelRequest {
            seed: 6,
            ..request.clone()
        };
        client
            .create_model(other)
            .await
            .expect_err("another request");
        let fresh = pb::CreateModelRequest {
            request_id: "b".to_owned(),
            ..request.clone()
        };
        client
            .create_model(fresh)
            .await
            .expect_err("it is beyond the limit");
        server.stop().await;
    }
}

#[tokio::test]
async fn an_id_stands_for_one_request() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = named(&model, 10, "a");
    run(&mut client, request.clone()).await.unwrap();
    let after = now(&mut client, &model).await;
    let mut inputs = request.clone();
    inputs.inputs.as_mut().expect("train sends inputs").values[0] += 1e-9;
    let others = [
        named(&model, 11, "a"),
        inputs,
        pb::TrainBatchRequest {
            learning_rate: None,
            ..request.clone()
        },
        pb::TrainBatchRequest {
            shuffle_seed: Some(0),
            ..request.clone()
        },
        pb::TrainBatchRequest {
            minibatch_size: 1,
            ..request.clone()
        },
    ];
    for other in others {
        let status = client.train_batch(other).await.unwrap_err();
        let details = refused(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");
        let bad = details.bad_request().expect("a BadRequest");
        assert_eq!(bad.field_violations[0].field, "request_id");
    }
    // How a caller wants to hear about it is no part of what it asks for.
    let quieter = pb::TrainBatchRequest {
        metrics_every: 5,
        ..request
    };
    assert!(run(&mut client, quieter).await.unwrap().started.replayed);
    assert_unchanged(&mut client, &after).await;
}

#[tokio::test]
async fn a_cancelled_run_goes_on_where_it_was_and_comes_to_the_same_weights() {
    const STEPS: i32 = 100_000;
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, cut_short) = under_way(&mut client, named(&model, STEPS, "a")).await;
    drop(cut_short);
    until(async || !now(&mut client, &model).await.training).await;
    let before = now(&mut client, &model).await.step;
    assert!(
        0 < before && before < i64::from(STEPS),
        "cancelled at {before}"
    );

    let resumed = run(&mut client, named(&model, STEPS, "a")).await.unwrap();
    assert_eq!(resumed.started.resumed_steps, before);
    assert_eq!(resumed.started.planned_steps, i64::from(STEPS) - before);
    assert_eq!(resumed.completed().steps_done, i64::from(STEPS));
    assert_eq!(resumed.completed().step, i64::from(STEPS));

    let undisturbed = create_homework(&mut client).await;
    let whole = run(&mut client, train(&undisturbed, STEPS)).await.unwrap();
    assert_eq!(
        whole.completed().weights_digest,
        resumed.completed().weights_digest
    );
}

#[tokio::test]
async fn a_repeated_create_model_returns_the_model_that_was_made() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let session = pb::CreateSessionRequest {
        session_id: "lab".into(),
        request_id: "s".into(),
        ..Default::default()
    };
    let mut sessions = server.sessions().await;
    for _ in 0..2 {
        let reply = sessions.create_session(session.clone()).await.unwrap();
        let made = reply.into_inner().session.expect("a session");
        assert_eq!(made.name, "sessions/lab");
    }
    let request = pb::CreateModelRequest {
        session: "sessions/lab".into(),
        spec: Some(homework()),
        seed: 3,
        request_id: "m".into(),
        ..Default::default()
    };
    let first = client
        .create_model(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = client
        .create_model(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);
    let other = pb::CreateModelRequest { seed: 4, ..request };
    let status = client.create_model(other).await.unwrap_err();
    refused(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let list = pb::ListModelsRequest {
        session: "sessions/lab".into(),
        ..Default::default()
    };
    let models = client.list_models(list).await.unwrap().into_inner().models;
    assert_eq!(models.len(), 1);
}
