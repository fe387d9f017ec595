//! WatchModel: what one client trains, another sees.

use backpropd::rpc::pb;
use pb::watch_model_response::Event;
use tonic::{Code, Streaming};

use crate::fixture::{
    FOREVER, Server, Training, create_homework, homework_parameters, inputs, next, refused, run,
    targets, train, under_way,
};

async fn watch(client: &mut Training, model: &pb::Model) -> Streaming<pb::WatchModelResponse> {
    let request = pb::WatchModelRequest {
        model: model.name.clone(),
        metrics_every: 0,
    };
    client
        .watch_model(request)
        .await
        .expect("it is there")
        .into_inner()
}

async fn event(stream: &mut Streaming<pb::WatchModelResponse>) -> Option<Event> {
    let message = next(stream).await.expect("no error")?;
    Some(message.event.expect("an event"))
}

/// The next run: where it started, the steps it took, how it ended.
async fn seen(stream: &mut Streaming<pb::WatchModelResponse>) -> (i64, Vec<i64>, pb::Completed) {
    let Some(Event::Started(started)) = event(stream).await else {
        panic!("a run begins with Started");
    };
    let mut steps = Vec::new();
    loop {
        match event(stream).await {
            Some(Event::Progress(progress)) => {
                steps.extend(progress.steps.iter().map(|metrics| metrics.step));
            }
            Some(Event::Completed(completed)) => return (started.step, steps, completed),
            other => panic!("in a run there is no {other:?}"),
        }
    }
}

async fn delete(client: &mut Training, model: &pb::Model) {
    let name = model.name.clone();
    let reply = client.delete_model(pb::DeleteModelRequest { name }).await;
    reply.expect("it is there");
}

#[tokio::test]
async fn a_watcher_sees_the_changes_of_calls_that_are_no_run() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut stream = watch(&mut server.training().await, &model).await;
    let mut changed = async || match event(&mut stream).await {
        Some(Event::Model(model)) => model,
        other => panic!("no run: {other:?}"),
    };
    assert_eq!(changed().await.step, 0);
    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        include: vec![pb::Quantity::DW.into(), pb::Quantity::DB.into()],
        ..sample()
    };
    let gradients = client.gradients(gradients).await.expect("a good request");
    let apply = pb::ApplyGradientsRequest {
        model: model.name.clone(),
        gradients: vec![pb::GradientSet {
            tensors: gradients.into_inner().tensors,
            weight: None,
        }],
        ..Default::default()
    };
    for step in [1, 2] {
        let applied = client.apply_gradients(apply.clone()).await;
        let applied = applied.expect("a good request").into_inner();
        let seen = changed().await;
        assert_eq!((seen.step, applied.step), (step, step));
        assert_eq!(seen.weights_digest, applied.weights_digest);
    }
    let set = pb::SetParametersRequest {
        model: model.name.clone(),
        parameters: homework_parameters(),
        ..Default::default()
    };
    let set = client.set_parameters(set).await.expect("a good request");
    let seen = changed().await;
    assert_eq!(seen.weights_digest, set.into_inner().weights_digest);
    let update = pb::UpdateModelRequest {
        model: model.name.clone(),
        spec: Some(pb::ModelSpec {
            clip_norm: 0.5,
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["clip_norm".to_owned()],
        }),
        ..Default::default()
    };
    client.update_model(update).await.expect("a good request");
    let spec = changed().await.spec.expect("a spec");
    assert_eq!(spec.clip_norm, 0.5);
}

/// The fixture's batch.
fn sample() -> pb::GradientsRequest {
    pb::GradientsRequest {
        inputs: Some(inputs()),
        targets: Some(targets()),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_watcher_sees_the_model_and_then_every_run() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    run(&mut client, train(&model, 3)).await.unwrap();
    let mut stream = watch(&mut server.training().await, &model).await;
    let Some(Event::Model(first)) = event(&mut stream).await else {
        panic!("the model comes first");
    };
    assert_eq!((first.name.as_str(), first.step), (model.name.as_str(), 3));
    for before in [3, 8] {
        let told = run(&mut client, train(&model, 5)).await.unwrap();
        let (start, steps, completed) = seen(&mut stream).await;
        assert_eq!(start, before);
        assert_eq!(steps, (before + 1..=before + 5).collect::<Vec<_>>());
        assert_eq!(completed.stop_reason(), pb::StopReason::Finished);
        assert_eq!(completed.weights_digest, told.completed().weights_digest);
    }
    delete(&mut client, &model).await;
    assert_eq!(event(&mut stream).await, None, "a deleted model ends it");
}

#[tokio::test]
async fn who_comes_while_a_run_goes_on_sees_the_rest_of_it() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, running) = under_way(&mut client, train(&model, FOREVER)).await;
    let mut stream = watch(&mut server.training().await, &model).await;
    let Some(Event::Model(first)) = event(&mut stream).await else {
        panic!("the model comes first");
    };
    assert!(first.training);
    let Some(Event::Progress(progress)) = event(&mut stream).await else {
        panic!("then the run's steps");
    };
    assert!(!progress.steps.is_empty());
    drop(running);
    let completed = loop {
        if let Some(Event::Completed(completed)) = event(&mut stream).await {
            break completed;
        }
    };
    assert_eq!(completed.stop_reason(), pb::StopReason::Cancelled);
    assert!(completed.final_loss.is_finite());
    assert_eq!(completed.weights_digest.len(), 64);
}

#[tokio::test]
async fn runs_that_queue_are_seen_one_after_the_other() {
    const RUNS: usize = 40;
    let server = Server::with(|config| config.max_waiting_runs_per_model = RUNS).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut stream = watch(&mut server.training().await, &model).await;
    event(&mut stream).await;
    let runs = (0..RUNS).map(|_| {
        let (mut client, request) = (client.clone(), train(&model, 2));
        async move {
            run(&mut client, request)
                .await
                .expect("room")
                .completed()
                .step
        }
    });
    futures_util::future::join_all(runs).await;
    for index in 0..RUNS as i64 {
        let (start, steps, completed) = seen(&mut stream).await;
        assert_eq!(start, 2 * index);
        assert_eq!(steps, [2 * index + 1, 2 * index + 2]);
        assert_eq!(completed.step, 2 * index + 2);
    }
}

#[tokio::test]
async fn a_watcher_of_a_deleted_model_hears_how_its_run_ended() {
    for _ in 0..5 {
        let server = Server::start().await;
        let mut client = server.training().await;
        let model = create_homework(&mut client).await;
        let mut stream = watch(&mut server.training().await, &model).await;
        event(&mut stream).await;
        let (_, _running) = under_way(&mut client, train(&model, FOREVER)).await;
        delete(&mut client, &model).await;
        let (_, steps, completed) = seen(&mut stream).await;
        assert_eq!(completed.stop_reason(), pb::StopReason::Deleted);
        assert_eq!(steps.last(), Some(&completed.step));
        assert_eq!(event(&mut stream).await, None);
    }
}

#[tokio::test]
async fn a_watch_ends_with_its_model_even_behind_other_writers() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut stream = watch(&mut server.training().await, &model).await;
    event(&mut stream).await;
    let (_, _running) = under_way(&mut client, train(&model, FOREVER)).await;
    let writers = (0..5).map(|_| {
        let mut client = client.clone();
        let request = pb::SetParametersRequest {
            model: model.name.clone(),
            parameters: homework_parameters(),
            ..Default::default()
        };
        tokio::spawn(async move { client.set_parameters(request).await })
    });
    let writers: Vec<_> = writers.collect();
    delete(&mut client, &model).await;
    seen(&mut stream).await;
    assert_eq!(event(&mut stream).await, None);
    for writer in writers {
        let status = writer.await.expect("no panic").unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_shutdown_ends_a_watch() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut stream = watch(&mut client, &model).await;
    event(&mut stream).await;
    let served = server.shut_down();
    let status = next(&mut stream).await.unwrap_err();
    let details = refused(&status, Code::Unavailable, "SHUTDOWN");
    assert!(details.retry_info().is_some());
    served.await.expect("no panic").expect("served");
}
