//! Runs as other clients see and end them: StopTraining, ListRuns, GetRun, `Model.run`.

use backpropd::config::Config;
use backpropd::rpc::pb;
use tempfile::TempDir;
use tonic::{Code, Streaming};

use crate::fixture::{
    FOREVER, Hands, Server, Training, assert_committed, bad_fields, begin, create_homework, fact,
    let_it_look, listen, next, now, refused, run, train, under_way, until,
};

fn stop(model: &pb::Model) -> pb::StopTrainingRequest {
    pb::StopTrainingRequest {
        model: model.name.clone(),
        ..Default::default()
    }
}

async fn stopped(
    client: &mut Training,
    request: pb::StopTrainingRequest,
) -> pb::StopTrainingResponse {
    let reply = client.stop_training(request).await;
    reply.expect("a good request").into_inner()
}

fn named(model: &pb::Model, steps: i32, request_id: &str) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        request_id: request_id.to_owned(),
        ..train(model, steps)
    }
}

async fn list(client: &mut Training, model: &pb::Model) -> pb::ListRunsResponse {
    let model = model.name.clone();
    let reply = client.list_runs(pb::ListRunsRequest { model }).await;
    reply.expect("it is there").into_inner()
}

async fn get_run(client: &mut Training, run: &pb::Run) -> pb::GetRunResponse {
    let name = run.name.clone();
    let reply = client.get_run(pb::GetRunRequest { name }).await;
    reply.expect("it is there").into_inner()
}

/// A request that waits for its turn behind a run.
async fn waits(
    server: &Server,
    request: pb::TrainBatchRequest,
    queued: i32,
) -> tokio::task::JoinHandle<Result<Streaming<pb::TrainBatchResponse>, tonic::Status>> {
    let model = request.model.clone();
    let mut client = server.training().await;
    let waiting = tokio::spawn(async move {
        let reply = client.train_batch(request).await?;
        Ok(reply.into_inner())
    });
    let mut client = server.training().await;
    until(async || {
        let request = pb::ListRunsRequest {
            model: model.clone(),
        };
        let reply = client.list_runs(request).await.expect("it is there");
        reply.into_inner().queued == queued
    })
    .await;
    waiting
}

#[tokio::test]
async fn another_client_stops_a_run_and_its_request_continues_later() {
    const STEPS: i32 = 200_000;
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::WatchModelRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let watch = server.training().await.watch_model(request).await;
    let mut watch = watch.expect("it is there").into_inner();

    let (started, stream) = under_way(&mut client, named(&model, STEPS, "a")).await;
    let reply = stopped(&mut server.training().await, stop(&model)).await;
    assert!(reply.stopped, "{reply:?}");
    assert_eq!(reply.stopped_queued, 0);
    let ended = reply.run.expect("a run was in progress");
    assert_eq!(ended.state(), pb::RunState::Stopped);
    assert_eq!(ended.request_id, "a");
    // It has ended, and the model is free.
    let after = now(&mut client, &model).await;
    assert!(!after.training);
    assert_eq!(after.run, None);
    assert_eq!((reply.step, ended.steps_done), (after.step, after.step));

    let told = listen(started, stream).await;
    let details = refused(told.error(), Code::Aborted, "STOPPED");
    assert!(details.retry_info().is_none(), "a client must not go on");
    assert_committed(&mut client, &model, told.error()).await;
    let completed = loop {
        let message = next(&mut watch).await.expect("events").expect("an event");
        if let Some(pb::watch_model_response::Event::Completed(end)) = message.event {
            break end;
        }
    };
    assert_eq!(completed.stop_reason(), pb::StopReason::Stopped);
    assert_eq!(completed.step, after.step);

    let resumed = run(&mut client, named(&model, STEPS, "a")).await.unwrap();
    assert_eq!(resumed.started.resumed_steps, after.step);
    let twin = create_homework(&mut client).await;
    let whole = run(&mut client, train(&twin, STEPS)).await.unwrap();
    assert_eq!(
        whole.completed().weights_digest,
        resumed.completed().weights_digest
    );
}

#[tokio::test]
async fn without_a_run_there_is_nothing_to_stop() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    run(&mut client, named(&model, 3, "a")).await.unwrap();
    let ended = list(&mut client, &model).await.runs.remove(0);
    for request in [
        stop(&model),
        pb::StopTrainingRequest {
            queued: true,
            ..stop(&model)
        },
        pb::StopTrainingRequest {
            request_id: "a".to_owned(),
            ..stop(&model)
        },
        pb::StopTrainingRequest {
            run: ended.name,
            ..stop(&model)
        },
    ] {
        let reply = stopped(&mut client, request).await;
        let expected = pb::StopTrainingResponse {
            step: 3,
            ..Default::default()
        };
        assert_eq!(reply, expected);
    }
}

#[tokio::test]
async fn a_stop_by_name_leaves_every_other_run_alone() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (started, stream) = under_way(&mut client, named(&model, FOREVER, "first")).await;
    let second = waits(&server, named(&model, 5, "second"), 1).await;
    let third = waits(&server, named(&model, 5, "third"), 2).await;

    // A run that waits is stopped without a step.
    let by_request = pb::StopTrainingRequest {
        request_id: "second".to_owned(),
        ..stop(&model)
    };
    let reply = stopped(&mut client, by_request).await;
    assert_eq!((reply.stopped, reply.stopped_queued), (false, 1));
    assert_eq!(reply.run, None);
    let status = second.await.expect("no panic").unwrap_err();
    refused(&status, Code::Aborted, "STOPPED");

    // The name of the run in progress, but another request id.
    let in_progress = now(&mut client, &model).await.run.expect("it trains");
    let neither = pb::StopTrainingRequest {
        run: in_progress.name.clone(),
        request_id: "third".to_owned(),
        ..stop(&model)
    };
    let reply = stopped(&mut client, neither).await;
    assert_eq!((reply.stopped, reply.stopped_queued), (false, 0));

    let by_run = pb::StopTrainingRequest {
        run: in_progress.name.clone(),
        ..stop(&model)
    };
    let reply = stopped(&mut client, by_run).await;
    assert!(reply.stopped);
    assert_eq!(reply.run.expect("it was").name, in_progress.name);
    let told = listen(started, stream).await;
    refused(told.error(), Code::Aborted, "STOPPED");
    let mut stream = third.await.expect("no panic").expect("its turn comes");
    let started = begin(&mut stream).await;
    let told = listen(started, stream).await;
    assert_eq!(told.completed().steps_done, 5);
}

#[tokio::test]
async fn the_runs_that_wait_are_stopped_if_asked() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (started, stream) = under_way(&mut client, train(&model, FOREVER)).await;
    let waiting = [
        waits(&server, train(&model, 5), 1).await,
        waits(&server, train(&model, 5), 2).await,
    ];
    let request = pb::StopTrainingRequest {
        queued: true,
        ..stop(&model)
    };
    let reply = stopped(&mut client, request).await;
    assert_eq!((reply.stopped, reply.stopped_queued), (true, 2));
    for waiting in waiting {
        let status = waiting.await.expect("no panic").unwrap_err();
        refused(&status, Code::Aborted, "STOPPED");
    }
    let told = listen(started, stream).await;
    assert_eq!(fact(told.error(), "step"), reply.step.to_string());
    assert_eq!(now(&mut client, &model).await.step, reply.step);
}

#[tokio::test]
async fn every_bad_field_of_a_stop_is_named() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::StopTrainingRequest {
        model: "hw".to_owned(),
        request_id: "r".repeat(129),
        run: model.name.clone(),
        queued: true,
    };
    let status = client.stop_training(request).await.unwrap_err();
    let fields = ["model", "request_id", "run", "queued"];
    assert_eq!(bad_fields(&status), fields);
    let of_another = pb::StopTrainingRequest {
        run: "sessions/a/models/b/runs/r1".to_owned(),
        ..stop(&model)
    };
    let status = client.stop_training(of_another).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["run"]);
    for name in ["", &model.name, "sessions/a/models/b/runs/R"] {
        let name = name.to_owned();
        let status = client.get_run(pb::GetRunRequest { name }).await;
        assert_eq!(bad_fields(&status.unwrap_err()), ["name"]);
    }
    let name = format!("{}/runs/r1", model.name);
    let status = client.get_run(pb::GetRunRequest { name: name.clone() });
    let details = refused(&status.await.unwrap_err(), Code::NotFound, "NOT_FOUND");
    let resource = details.resource_info().expect("a ResourceInfo");
    assert_eq!(
        (&*resource.resource_type, &resource.resource_name),
        ("run", &name)
    );
}

#[tokio::test]
async fn a_client_that_comes_late_sees_the_run_in_progress() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    run(&mut client, train(&model, 3)).await.unwrap();
    let (_, _stream) = under_way(&mut client, named(&model, FOREVER, "long")).await;
    let seen = now(&mut client, &model).await.run.expect("it trains");
    assert_eq!(seen.state(), pb::RunState::Running);
    assert_eq!(seen.request_id, "long");
    assert_eq!((seen.first_step, seen.resumed_steps), (3, 0));
    assert_eq!(seen.planned_steps, i64::from(FOREVER));
    assert!(seen.start_time.is_some() && seen.end_time.is_none());
    until(async || {
        let run = now(&mut client, &model).await.run.expect("it trains");
        run.steps_done > 10_000
    })
    .await;
    let seen = get_run(&mut client, &seen).await;
    let (run, metrics) = (seen.run.expect("a run"), seen.metrics);
    assert_eq!(run.learning_rate, Some(1e-3));
    assert!(run.last_loss.is_some());
    // The curve from its first step to its last, evenly.
    assert!(metrics.len() <= Config::default().run_metrics);
    assert_eq!(metrics[0].step, 4);
    assert!(seen.metrics_every > 1);
    for pair in metrics[..metrics.len() - 1].windows(2) {
        assert_eq!(pair[1].step - pair[0].step, seen.metrics_every);
    }
    let last = metrics.last().expect("it has taken steps");
    assert_eq!(last.step, run.first_step + run.steps_done);
    assert_eq!(Some(last.loss), run.last_loss);
}

#[tokio::test]
async fn past_runs_are_remembered_with_the_metrics_that_were_streamed() {
    let server = Server::with(|config| config.runs_per_model = 3).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut told = Vec::new();
    for index in 0..5 {
        let request = named(&model, 10 + index, &format!("run {index}"));
        told.push(run(&mut client, request).await.unwrap());
    }
    // A repeated request trains nothing, and is no run.
    run(&mut client, named(&model, 14, "run 4")).await.unwrap();
    let listed = list(&mut client, &model).await;
    assert_eq!(listed.queued, 0);
    let ids = listed.runs.iter().map(|run| run.request_id.as_str());
    assert_eq!(ids.collect::<Vec<_>>(), ["run 4", "run 3", "run 2"]);
    for (run, told) in listed.runs.iter().zip(told.iter().rev()) {
        let seen = get_run(&mut client, run).await;
        assert_eq!(seen.metrics, told.steps);
        assert_eq!(seen.metrics_every, 1);
        let run = seen.run.expect("a run");
        assert_eq!(run.state(), pb::RunState::Finished);
        assert_eq!(run.first_step, told.started.step);
        assert_eq!(run.steps_done, told.completed().steps_done);
        assert_eq!(run.last_loss, Some(told.completed().final_loss));
        assert!(run.end_time.is_some());
    }
    assert_eq!(now(&mut client, &model).await.run, None);
}

#[tokio::test]
async fn past_runs_outlast_an_eviction_and_not_their_model() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    run(&mut client, train(&model, 5)).await.unwrap();
    let before = list(&mut client, &model).await;
    assert_eq!(before.runs.len(), 1);
    hands.pass(Config::default().evict_after_seconds + 1);
    let resident = async || {
        let mut client =
            pb::server_service_client::ServerServiceClient::new(server.channel().await);
        let info = client.get_server_info(pb::GetServerInfoRequest::default());
        info.await.expect("it tells").into_inner().resident_models
    };
    while resident().await > 0 {
        let_it_look().await;
    }
    assert_eq!(list(&mut client, &model).await, before);

    let delete = pb::DeleteModelRequest {
        name: model.name.clone(),
    };
    client.delete_model(delete).await.expect("it is there");
    let (session, id) = model.name.split_once("/models/").expect("a name");
    let again = pb::CreateModelRequest {
        session: session.to_owned(),
        model_id: id.to_owned(),
        spec: model.spec.clone(),
        ..Default::default()
    };
    client.create_model(again).await.expect("the id is free");
    assert_eq!(list(&mut client, &model).await.runs, []);
}
