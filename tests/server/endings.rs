//! What ends a run before its time: the error says how many steps are committed, and they are.

use std::time::Duration;

use backpropd::rpc::pb;
use tonic::{Code, Request};

use crate::fixture::{
    FOREVER, Server, Training, assert_committed, create_homework, get, listen, next, now, refused,
    run, train, under_way, until,
};

/// One thread: whatever still computes would hold the next run up for ever.
async fn one_thread() -> Server {
    Server::with(|config| {
        config.threads = 1;
        config.quantum_ms = 60_000;
    })
    .await
}

/// The compute thread does what is asked of it.
async fn assert_thread_is_free(client: &mut Training) {
    let other = create_homework(client).await;
    let told = run(client, train(&other, 100))
        .await
        .expect("a good request");
    assert_eq!(told.completed().step, 100);
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_run() {
    let server = one_thread().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut watch = watch(&mut client, &model).await;
    let (_, stream) = under_way(&mut client, train(&model, FOREVER)).await;
    drop(stream);
    let completed = completion(&mut watch).await;
    assert_eq!(completed.stop_reason(), pb::StopReason::Cancelled);
    let after = now(&mut client, &model).await;
    assert_eq!(completed.step, after.step);
    assert_eq!(completed.steps_done, after.step);
    assert!(0 < after.step && after.step < i64::from(FOREVER));
    assert_thread_is_free(&mut client).await;
    assert_eq!(now(&mut client, &model).await.step, after.step);
}

#[tokio::test]
async fn a_connection_that_breaks_ends_its_runs() {
    let server = one_thread().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut watch = watch(&mut client, &model).await;
    let request = train(&model, FOREVER);
    let gone = tokio::spawn({
        let mut client = server.training().await;
        async move { under_way(&mut client, request).await }
    });
    // The client and its connection go with the task's result.
    drop(gone.await.expect("under way"));
    let completed = completion(&mut watch).await;
    assert_eq!(completed.stop_reason(), pb::StopReason::Cancelled);
    assert_thread_is_free(&mut client).await;
}

#[tokio::test]
async fn a_deadline_ends_a_run_and_says_how_far_it_came() {
    let server = one_thread().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut request = Request::new(train(&model, FOREVER));
    request.set_timeout(Duration::from_secs(1));
    let (started, stream) = under_way(&mut client, request).await;
    let told = listen(started, stream).await;
    refused(told.error(), Code::DeadlineExceeded, "DEADLINE");
    assert_committed(&mut client, &model, told.error()).await;
    assert_thread_is_free(&mut client).await;
}

#[tokio::test]
async fn a_run_that_is_to_go_on_outlives_its_caller() {
    let server = one_thread().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::TrainBatchRequest {
        on_disconnect: pb::OnDisconnect::Continue.into(),
        request_id: "go-on".into(),
        ..train(&model, 200_000)
    };
    let (_, stream) = under_way(&mut client, request.clone()).await;
    drop(stream);
    // The same request waits its turn and hears what became of the first.
    let told = run(&mut client, request).await.expect("a good request");
    assert!(told.started.replayed);
    assert_eq!(told.completed().step, 200_000);
    assert_eq!(now(&mut client, &model).await.step, 200_000);
}

#[tokio::test]
async fn deleting_a_model_ends_its_runs_and_those_that_wait() {
    let server = one_thread().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (started, stream) = under_way(&mut client, train(&model, FOREVER)).await;
    let waiting = tokio::spawn({
        let (mut client, request) = (client.clone(), train(&model, 1));
        async move { client.train_batch(request).await.map(|_| ()) }
    });
    let name = model.name.clone();
    let delete = pb::DeleteModelRequest { name };
    client.delete_model(delete).await.expect("it is there");
    let told = listen(started, stream).await;
    refused(told.error(), Code::NotFound, "DELETED");
    let waited = waiting.await.expect("no panic").expect_err("never began");
    assert_eq!(waited.code(), Code::NotFound);
    let status = get(&mut client, &model.name).await.unwrap_err();
    refused(&status, Code::NotFound, "NOT_FOUND");
    assert_thread_is_free(&mut client).await;
}

#[tokio::test]
async fn deleting_a_session_ends_the_runs_in_it() {
    let server = one_thread().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (started, stream) = under_way(&mut client, train(&model, FOREVER)).await;
    let session = model.name.split_once("/models/").expect("a model's name").0;
    let delete = pb::DeleteSessionRequest {
        name: session.to_owned(),
    };
    let mut sessions = server.sessions().await;
    let reply = sessions.delete_session(delete).await.expect("it is there");
    assert_eq!(reply.into_inner().deleted_models, 1);
    let told = listen(started, stream).await;
    refused(told.error(), Code::NotFound, "DELETED");
    assert_thread_is_free(&mut client).await;
}

#[tokio::test]
async fn a_caller_that_leaves_the_queue_never_trains() {
    let server = one_thread().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, running) = under_way(&mut client, train(&model, FOREVER)).await;
    let mut request = Request::new(train(&model, 7));
    request.set_timeout(Duration::from_millis(50));
    // Whose clock runs out first, the client's or the server's, is nobody's promise.
    client
        .train_batch(request)
        .await
        .expect_err("no turn comes");
    drop(running);
    until(async || !now(&mut client, &model).await.training).await;
    let before = now(&mut client, &model).await.step;
    let told = run(&mut client, train(&model, 1)).await.expect("a turn");
    assert_eq!(told.started.step, before, "nobody trained between");
}

async fn watch(
    client: &mut Training,
    model: &pb::Model,
) -> tonic::Streaming<pb::WatchModelResponse> {
    let request = pb::WatchModelRequest {
        model: model.name.clone(),
        metrics_every: i32::MAX,
    };
    client
        .watch_model(request)
        .await
        .expect("it is there")
        .into_inner()
}

/// The end of the next run that a watcher sees.
async fn completion(watch: &mut tonic::Streaming<pb::WatchModelResponse>) -> pb::Completed {
    loop {
        let message = next(watch).await.expect("a stream").expect("a message");
        if let Some(pb::watch_model_response::Event::Completed(completed)) = message.event {
            return completed;
        }
    }
}
