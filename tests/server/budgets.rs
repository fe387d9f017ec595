//! What one session may take, so that the others have theirs.

use backpropd::rpc::pb;
use tonic::Code;

use crate::fixture::{
    FOREVER, Server, begin, create, create_homework, create_in, create_session, fact, homework,
    layer, listen, now, refused, run, train, under_way,
};

#[tokio::test]
async fn a_session_has_so_many_streams_and_another_has_its_own() {
    let server = Server::with(|config| config.max_streams_per_session = 2).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, first) = under_way(&mut client, train(&model, FOREVER)).await;
    let watch = pb::WatchModelRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let second = client.watch_model(watch.clone()).await.expect("a place");
    let refusal = client
        .watch_model(watch.clone())
        .await
        .expect_err("none left");
    let details = refused(&refusal, Code::ResourceExhausted, "QUEUE_FULL");
    assert!(details.retry_info().is_some());
    assert_eq!(fact(&refusal, "setting"), "max_streams_per_session");
    let other = create_homework(&mut client).await;
    run(&mut client, train(&other, 1))
        .await
        .expect("its own places");
    drop((first, second));
    crate::fixture::until(async || client.watch_model(watch.clone()).await.is_ok()).await;
}

#[tokio::test]
async fn the_models_of_a_session_have_so_many_bytes() {
    let server = Server::with(|config| config.max_session_parameter_bytes = 1 << 20).await;
    let mut client = server.training().await;
    let large = pb::ModelSpec {
        input_size: 300,
        layers: vec![layer(300, pb::Activation::Unspecified, false)],
        ..homework()
    };
    let model = create(&mut client, large.clone(), 1).await;
    let request = pb::CreateModelRequest {
        session: model.name.split("/models/").next().expect("one").to_owned(),
        spec: Some(large.clone()),
        ..Default::default()
    };
    let refusal = client
        .create_model(request.clone())
        .await
        .expect_err("full");
    refused(&refusal, Code::ResourceExhausted, "QUOTA");
    assert_eq!(fact(&refusal, "setting"), "max_session_parameter_bytes");
    create(&mut client, large, 2).await;
    let delete = pb::DeleteModelRequest { name: model.name };
    client.delete_model(delete).await.expect("deleted");
    client.create_model(request).await.expect("room again");
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_with_its_steps_and_goes_on_when_asked_again() {
    let server = Server::with(|config| config.max_run_seconds = 1).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::TrainBatchRequest {
        request_id: "long".to_owned(),
        metrics_every: FOREVER,
        ..train(&model, FOREVER)
    };
    let told = run(&mut client, request.clone()).await.expect("it begins");
    let details = refused(told.error(), Code::ResourceExhausted, "RUN_TIME");
    assert!(details.retry_info().is_some());
    let step = now(&mut client, &model).await.step;
    assert_eq!(fact(told.error(), "step"), step.to_string());
    let mut again = client
        .train_batch(request)
        .await
        .expect("it goes on")
        .into_inner();
    assert_eq!(begin(&mut again).await.resumed_steps, step);
}

#[tokio::test]
async fn a_call_waits_for_its_models_turn_only_so_long() {
    let server = Server::with(|config| config.max_wait_seconds = 1).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, _stream) = under_way(&mut client, train(&model, FOREVER)).await;
    let refusal = run(&mut client, train(&model, 1)).await;
    let refusal = refusal.expect_err("busy");
    let details = refused(&refusal, Code::ResourceExhausted, "QUEUE_FULL");
    assert!(details.retry_info().is_some());
    assert_eq!(fact(&refusal, "setting"), "max_wait_seconds");
}

/// Sessions take turns: while one has a hundred runs waiting, another's short run is done before most of them.
#[tokio::test]
async fn a_session_that_floods_waits_for_itself() {
    let server = Server::with(|config| {
        config.threads = 1;
        config.quantum_ms = 1;
    })
    .await;
    let mut flooder = server.training().await;
    let session = create_session(&server, "flood").await.expect("made");
    let mut floods = Vec::new();
    for _ in 0..50 {
        let model = create_in(&server, &session, homework())
            .await
            .expect("made");
        let quiet = pb::TrainBatchRequest {
            metrics_every: FOREVER,
            ..train(&model, FOREVER)
        };
        let (_, stream) = under_way(&mut flooder, quiet).await;
        floods.push((model, stream));
    }
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let before = now(&mut flooder, &floods[0].0).await.step;
    // Many turns of a millisecond, beside which the start of the run and a turn more or less are little.
    let steps = 100_000;
    let quiet = pb::TrainBatchRequest {
        metrics_every: FOREVER,
        ..train(&model, steps)
    };
    let mut stream = client.train_batch(quiet).await.expect("begun");
    let started = begin(stream.get_mut()).await;
    let told = listen(started, stream.into_inner()).await;
    assert_eq!(told.completed().steps_done, i64::from(steps));
    // Two parties share the thread by halves, so that each of the fifty has a hundredth of it.
    let during = now(&mut flooder, &floods[0].0).await.step - before;
    assert!(
        during * 5 < i64::from(steps),
        "one of fifty runs took {during} steps while the other session took {steps}"
    );
}

#[tokio::test]
async fn an_address_has_so_many_sessions_models_and_bytes_on_however_many_connections() {
    let server = Server::with(|config| {
        config.max_sessions_per_address = 3;
        config.max_models_per_address = 2;
    })
    .await;
    for id in ["a", "b"] {
        create_session(&server, id).await.expect("room");
    }
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    let over = |status: &tonic::Status, setting: &str| {
        refused(status, Code::ResourceExhausted, "QUOTA");
        assert_eq!(fact(status, "setting"), setting);
    };
    let refusal = create_session(&server, "c").await.expect_err("used up");
    over(&refusal, "max_sessions_per_address");
    let new_session = pb::CreateModelRequest {
        spec: Some(homework()),
        ..Default::default()
    };
    let refusal = client.create_model(new_session).await.expect_err("used up");
    over(&refusal, "max_sessions_per_address");
    create_in(&server, "sessions/a", homework())
        .await
        .expect("room");
    let refusal = create_in(&server, "sessions/b", homework()).await;
    over(&refusal.expect_err("used up"), "max_models_per_address");

    let session = model.name.split("/models/").next().expect("one").to_owned();
    let delete = pb::DeleteSessionRequest { name: session };
    let mut sessions = server.sessions().await;
    sessions.delete_session(delete).await.expect("deleted");
    create_session(&server, "c").await.expect("room again");
    create_in(&server, "sessions/c", homework())
        .await
        .expect("room again");

    let server = Server::with(|config| config.max_parameter_bytes_per_address = 1 << 20).await;
    let large = pb::ModelSpec {
        input_size: 300,
        layers: vec![layer(300, pb::Activation::Unspecified, false)],
        ..homework()
    };
    let mut client = server.training().await;
    create(&mut client, large.clone(), 1).await;
    let request = pb::CreateModelRequest {
        spec: Some(large),
        ..Default::default()
    };
    let refusal = client.create_model(request).await.expect_err("used up");
    over(&refusal, "max_parameter_bytes_per_address");
}

#[tokio::test]
async fn a_session_without_a_model_expires_soon_unless_it_asked_for_a_time() {
    let server = Server::with(|config| config.empty_session_ttl_seconds = 1).await;
    for id in ["empty", "full"] {
        create_session(&server, id).await.expect("room");
    }
    create_in(&server, "sessions/full", homework())
        .await
        .expect("room");
    let mut sessions = server.sessions().await;
    let asked = pb::CreateSessionRequest {
        session_id: "asked".to_owned(),
        ttl: Some(prost_types::Duration {
            seconds: 86_400,
            nanos: 0,
        }),
        ..Default::default()
    };
    sessions.create_session(asked).await.expect("room");
    crate::fixture::until(async || {
        let list = pb::ListSessionsRequest::default();
        let list = sessions.list_sessions(list).await.expect("listed");
        let names = list.into_inner().sessions.into_iter();
        names.map(|session| session.name).collect::<Vec<_>>() == ["sessions/asked", "sessions/full"]
    })
    .await;
}
