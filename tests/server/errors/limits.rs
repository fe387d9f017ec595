//! Limits: each is refused by name, with its size and a way out, and holds exactly where it is set.

use backpropd::rpc::pb;
use tonic::{Code, Status};

use crate::fixture::{
    FOREVER, Server, assert_unchanged, begin, create, create_homework, create_in, create_session,
    fact, homework, inputs, layer, listen, next, numbers, refused, run, targets, tensor, train,
    under_way, until,
};

/// A refusal over a quota names the setting and its value.
#[track_caller]
fn over(status: &Status, reason: &str, setting: &str, limit: usize) {
    let details = refused(status, Code::ResourceExhausted, reason);
    let quota = details.quota_failure().expect("a QuotaFailure");
    assert_eq!(quota.violations[0].subject, setting);
    assert!(quota.violations[0].description.contains(setting));
    assert_eq!(fact(status, "setting"), setting);
    assert_eq!(fact(status, "limit"), limit.to_string());
}

#[tokio::test]
async fn sessions_are_limited_and_a_deleted_one_makes_room() {
    let server = Server::with(|config| config.max_sessions = 2).await;
    let first = create_session(&server, "a").await.expect("room");
    create_session(&server, "b").await.expect("room");
    let status = create_session(&server, "c").await.unwrap_err();
    over(&status, "QUOTA", "max_sessions", 2);
    let status = create_in(&server, "", homework()).await.unwrap_err();
    over(&status, "QUOTA", "max_sessions", 2);
    let delete = pb::DeleteSessionRequest { name: first };
    let mut sessions = server.sessions().await;
    sessions.delete_session(delete).await.expect("it is there");
    create_session(&server, "c").await.expect("room again");
}

#[tokio::test]
async fn models_are_limited_per_session_and_in_all() {
    let limits = |config: &mut backpropd::config::Config| {
        config.max_models_per_session = 2;
        config.max_models = 3;
    };
    let server = Server::with(limits).await;
    let a = create_session(&server, "a").await.expect("room");
    let first = create_in(&server, &a, homework()).await.expect("room");
    create_in(&server, &a, homework()).await.expect("room");
    let status = create_in(&server, &a, homework()).await.unwrap_err();
    over(&status, "QUOTA", "max_models_per_session", 2);
    create_in(&server, "", homework()).await.expect("room");
    let status = create_in(&server, "", homework()).await.unwrap_err();
    over(&status, "QUOTA", "max_models", 3);
    let mut client = server.training().await;
    let delete = pb::DeleteModelRequest { name: first.name };
    client.delete_model(delete).await.expect("it is there");
    create_in(&server, "", homework())
        .await
        .expect("room again");
}

#[tokio::test]
async fn the_bytes_of_all_models_are_limited_with_their_optimizer_state() {
    // 100 weights in FLOAT64, and Adam keeps two moments of each: 2,400 bytes.
    let server = Server::with(|config| config.max_total_parameter_bytes = 4_800).await;
    let spec = pb::ModelSpec {
        input_size: 10,
        layers: vec![layer(10, pb::Activation::Relu, false)],
        optimizer: Some(pb::model_spec::Optimizer::Adam(pb::Adam::default())),
        ..Default::default()
    };
    let mut client = server.training().await;
    let first = create(&mut client, spec.clone(), 1).await;
    create(&mut client, spec.clone(), 2).await;
    let status = create_in(&server, "", spec.clone()).await.unwrap_err();
    over(&status, "QUOTA", "max_total_parameter_bytes", 4_800);
    let delete = pb::DeleteModelRequest { name: first.name };
    client.delete_model(delete).await.expect("it is there");
    create_in(&server, "", spec).await.expect("room again");
}

#[tokio::test]
async fn a_call_that_needs_too_much_memory_is_refused_before_it_takes_any() {
    let server = Server::with(|config| config.max_workspace_bytes = 10_000).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (x, y) = (
        tensor([1000, 4], &[0.5; 4000]),
        tensor([1000, 1], &[0.5; 1000]),
    );
    let request = pb::TrainBatchRequest {
        inputs: Some(x.clone()),
        targets: Some(y.clone()),
        ..train(&model, 1)
    };
    let status = client.train_batch(request.clone()).await.unwrap_err();
    over(
        &status,
        "WORKSPACE_TOO_LARGE",
        "max_workspace_bytes",
        10_000,
    );
    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        inputs: Some(x),
        targets: Some(y),
        ..Default::default()
    };
    let status = client.gradients(gradients).await.unwrap_err();
    over(
        &status,
        "WORKSPACE_TOO_LARGE",
        "max_workspace_bytes",
        10_000,
    );
    assert_unchanged(&mut client, &model).await;
    let in_minibatches = pb::TrainBatchRequest {
        minibatch_size: 10,
        ..request
    };
    run(&mut client, in_minibatches).await.expect("the way out");
}

#[tokio::test]
async fn steps_and_checks_are_limited() {
    let limits = |config: &mut backpropd::config::Config| {
        config.max_steps_per_run = 10;
        config.max_check_evaluations = 10;
    };
    let server = Server::with(limits).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let status = client.train_batch(train(&model, 11)).await.unwrap_err();
    assert_eq!(crate::fixture::bad_fields(&status), ["steps"]);
    assert!(status.message().contains("max_steps_per_run"));
    let check = pb::CheckGradientsRequest {
        target: Some(pb::check_gradients_request::Target::Model(
            model.name.clone(),
        )),
        inputs: Some(inputs()),
        targets: Some(targets()),
        ..Default::default()
    };
    let status = client.check_gradients(check).await.unwrap_err();
    over(&status, "QUOTA", "max_check_evaluations", 10);
    assert_unchanged(&mut client, &model).await;
    let told = run(&mut client, train(&model, 10))
        .await
        .expect("ten are fine");
    assert_eq!(told.completed().step, 10);
}

#[tokio::test]
async fn a_reply_larger_than_its_limit_is_refused_with_both_sizes() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let ask = |rows: usize, max_reply_bytes| pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name.clone())),
        inputs: Some(tensor([rows as i32, 4], &numbers(rows * 4, 1))),
        max_reply_bytes,
        ..Default::default()
    };
    // One output of eight bytes for each row, and an eighth of so small a limit for what surrounds them.
    let reply = client.predict(ask(112, 1024)).await.expect("it fits");
    assert!(prost::Message::encoded_len(reply.get_ref()) <= 1024);
    let status = client.predict(ask(113, 1024)).await.unwrap_err();
    refused(&status, Code::ResourceExhausted, "REPLY_TOO_LARGE");
    assert_eq!(fact(&status, "bytes"), "1032");
    assert_eq!(fact(&status, "limit"), "1024");
    let parameters = pb::GetParametersRequest {
        model: model.name.clone(),
        max_reply_bytes: 180,
        ..Default::default()
    };
    let status = client.get_parameters(parameters).await.unwrap_err();
    refused(&status, Code::ResourceExhausted, "REPLY_TOO_LARGE");
    assert_eq!(
        fact(&status, "bytes"),
        "182",
        "twenty numbers and an eighth of the limit"
    );
    // Above the server's own limit there is nothing to ask for.
    let status = client.predict(ask(1, i32::MAX)).await.unwrap_err();
    assert_eq!(crate::fixture::bad_fields(&status), ["max_reply_bytes"]);
}

#[tokio::test]
async fn a_run_too_many_in_the_queue_is_told_to_come_back() {
    let server = Server::with(|config| config.max_waiting_runs_per_model = 0).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, stream) = under_way(&mut client, train(&model, FOREVER)).await;
    let status = client.train_batch(train(&model, 1)).await.unwrap_err();
    over(&status, "QUEUE_FULL", "max_waiting_runs_per_model", 0);
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert!(
        details
            .retry_info()
            .expect("RetryInfo")
            .retry_delay
            .is_some()
    );
    drop(stream);
    // The place is free as soon as the run has noticed.
    until(async || client.train_batch(train(&model, 1)).await.is_ok()).await;
}

#[tokio::test]
async fn a_call_too_many_for_the_threads_is_told_to_come_back() {
    let limits = |config: &mut backpropd::config::Config| {
        config.threads = 1;
        config.max_waiting_calls = 1;
        config.quantum_ms = 60_000;
    };
    let server = Server::with(limits).await;
    let mut client = server.training().await;
    let busy = create_homework(&mut client).await;
    let waiting = create_homework(&mut client).await;
    let refused = create_homework(&mut client).await;
    let (_, running) = under_way(&mut client, train(&busy, FOREVER)).await;
    let second = client.train_batch(train(&waiting, 1)).await;
    let status = client.train_batch(train(&refused, 1)).await.unwrap_err();
    over(&status, "QUEUE_FULL", "max_waiting_calls", 1);
    let details = tonic_types::StatusExt::get_error_details(&status);
    let retry = details.retry_info().expect("RetryInfo");
    assert!(retry.retry_delay.is_some());
    assert_unchanged(&mut client, &refused).await;
    drop(running);
    let mut second = second.expect("room for one").into_inner();
    let started = begin(&mut second).await;
    assert_eq!(listen(started, second).await.completed().step, 1);
}

#[tokio::test]
async fn watchers_of_a_model_are_limited_and_one_that_leaves_makes_room() {
    let server = Server::with(|config| config.max_watchers_per_model = 1).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let watch = pb::WatchModelRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let reply = client.watch_model(watch.clone()).await.expect("room");
    let mut first = reply.into_inner();
    next(&mut first)
        .await
        .expect("a stream")
        .expect("the model");
    let status = client.watch_model(watch.clone()).await.unwrap_err();
    over(&status, "QUOTA", "max_watchers_per_model", 1);
    drop(first);
    until(async || client.watch_model(watch.clone()).await.is_ok()).await;
}
