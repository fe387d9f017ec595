//! TrainBatch: its events, its counts, its queue, and what becomes of weights that would not be finite.

use backpropd::rpc::pb;
use tonic::Code;

use crate::fixture::{
    FOREVER, Server, Told, begin, create_homework, fact, homework_parameters, listen, now, numbers,
    refused, run, tensor, train, under_way,
};

fn counted(told: &Told) -> Vec<i64> {
    told.steps.iter().map(|metrics| metrics.step).collect()
}

#[tokio::test]
async fn a_run_is_told_from_its_start_over_every_step_to_its_end() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    for (before, steps) in [(0, 5), (5, 3)] {
        let told = run(&mut client, train(&model, steps as i32)).await.unwrap();
        assert_eq!(told.started.step, before);
        assert_eq!(told.started.planned_steps, steps);
        assert!(!told.started.replayed);
        assert_eq!(
            counted(&told),
            (before + 1..=before + steps).collect::<Vec<_>>()
        );
        let end = told.completed();
        assert_eq!(end.stop_reason(), pb::StopReason::Finished);
        assert_eq!((end.steps_done, end.step), (steps, before + steps));
        assert_eq!(
            Some(end.final_loss),
            told.steps.last().map(|last| last.loss)
        );
        let after = now(&mut client, &model).await;
        assert_eq!(
            (after.step, after.weights_digest),
            (end.step, end.weights_digest.clone())
        );
    }
}

#[tokio::test]
async fn nothing_asked_for_is_one_step() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let told = run(&mut client, train(&model, 0)).await.unwrap();
    assert_eq!(told.completed().steps_done, 1);
    // h¹ = (3, 4.7, 2.1), h² = (1.01, 1.73) for the first sample, and so on; the default is no learning rate at all
    // of its own, so the one given is what the step reports.
    assert_eq!(told.steps[0].learning_rate, 1e-3);
    let default = pb::TrainBatchRequest {
        learning_rate: None,
        ..train(&model, 1)
    };
    let told = run(&mut client, default).await.unwrap();
    assert_eq!(told.steps[0].learning_rate, 0.01);
}

#[tokio::test]
async fn an_epoch_takes_every_minibatch_and_what_is_left() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    // Ten rows in mini-batches of four: 4 + 4 + 2.
    let request = pb::TrainBatchRequest {
        inputs: Some(tensor([10, 4], &numbers(40, 1))),
        targets: Some(tensor([10, 1], &numbers(10, 2))),
        epochs: 2,
        minibatch_size: 4,
        shuffle_seed: Some(7),
        ..train(&model, 0)
    };
    let told = run(&mut client, request.clone()).await.unwrap();
    let epochs: Vec<_> = told.steps.iter().map(|metrics| metrics.epoch).collect();
    assert_eq!(epochs, [1, 1, 1, 2, 2, 2]);
    assert_eq!(told.started.planned_steps, 6);
    assert_eq!(told.completed().steps_done, 6);
    // Steps count mini-batches too; a mini-batch above the batch is the batch.
    let steps = pb::TrainBatchRequest {
        epochs: 0,
        steps: 4,
        ..request.clone()
    };
    let told = run(&mut client, steps).await.unwrap();
    assert_eq!(told.steps.last().map(|metrics| metrics.epoch), Some(2));
    let whole = pb::TrainBatchRequest {
        minibatch_size: 1000,
        ..request
    };
    assert_eq!(
        run(&mut client, whole)
            .await
            .unwrap()
            .completed()
            .steps_done,
        2
    );
}

#[tokio::test]
async fn every_nth_step_is_reported_and_always_the_first_and_the_last() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let every = |steps, metrics_every| pb::TrainBatchRequest {
        metrics_every,
        ..train(&model, steps)
    };
    let told = run(&mut client, every(25, 10)).await.unwrap();
    assert_eq!(counted(&told), [1, 10, 20, 25]);
    let told = run(&mut client, every(3, i32::MAX)).await.unwrap();
    assert_eq!(counted(&told), [26, 28]);
}

#[tokio::test]
async fn weights_that_would_not_be_finite_are_not_committed() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let huge = pb::TrainBatchRequest {
        learning_rate: Some(1e200),
        request_id: "huge".into(),
        ..train(&model, 1000)
    };
    for _ in 0..2 {
        let told = run(&mut client, huge.clone()).await.unwrap();
        let status = told.error();
        refused(status, Code::FailedPrecondition, "DIVERGED");
        crate::fixture::assert_committed(&mut client, &model, status).await;
    }
    let parameters = pb::GetParametersRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let reply = client
        .get_parameters(parameters)
        .await
        .unwrap()
        .into_inner();
    let mut weights = reply
        .parameters
        .iter()
        .filter_map(|layer| layer.weights.as_ref());
    assert!(weights.all(|tensor| tensor.values.iter().all(|w| w.is_finite())));
    // The model is as good as its weights.
    let reset = pb::SetParametersRequest {
        model: model.name.clone(),
        parameters: homework_parameters(),
        ..Default::default()
    };
    let reset = client.set_parameters(reset).await.unwrap().into_inner();
    assert_eq!(reset.weights_digest, model.weights_digest);
    run(&mut client, train(&model, 10))
        .await
        .unwrap()
        .completed();
}

#[tokio::test]
async fn runs_of_one_model_come_one_after_the_other() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (first, running) = under_way(&mut client, train(&model, FOREVER)).await;
    assert_eq!(first.queue_position, 0);
    let (mut one, mut two) = (client.clone(), client.clone());
    let second = tokio::spawn({
        let request = train(&model, 10);
        async move { run(&mut one, request).await }
    });
    let third = tokio::spawn({
        let request = train(&model, 10);
        async move { run(&mut two, request).await }
    });
    // Both wait: the model is under a run, and reads say so.
    assert!(now(&mut client, &model).await.training);
    drop(running);
    let told = [
        second.await.unwrap().unwrap(),
        third.await.unwrap().unwrap(),
    ];
    let mut starts = told.map(|told| {
        assert_eq!(told.completed().steps_done, 10);
        (told.started.queue_position, told.started.step)
    });
    starts.sort_by_key(|start| start.1);
    assert_eq!(starts[0].1 + 10, starts[1].1, "not a step between them");
    assert!(starts[0].0 <= starts[1].0, "first come, first served");
}

#[tokio::test]
async fn a_reader_that_does_not_read_does_not_hold_training_up() {
    let server = Server::with(|config| config.max_buffered_metrics = 64).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let reply = client.train_batch(train(&model, 100_000)).await.unwrap();
    let mut unread = reply.into_inner();
    // Another connection, so that nothing of this one is read.
    let mut other = server.training().await;
    crate::fixture::until(async || now(&mut other, &model).await.step == 100_000).await;
    let started = begin(&mut unread).await;
    let told = listen(started, unread).await;
    assert_eq!(counted(&told).first(), Some(&1));
    assert_eq!(counted(&told).last(), Some(&100_000));
    assert!(counted(&told).is_sorted());
    assert!(told.completed().metrics_dropped > 0);
    assert_eq!(told.completed().step, 100_000);
}

#[tokio::test]
async fn set_parameters_keeps_the_step_and_waits_its_turn() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    run(&mut client, train(&model, 3)).await.unwrap();
    let set = pb::SetParametersRequest {
        model: model.name.clone(),
        parameters: homework_parameters(),
        expected_step: Some(3),
        request_id: "set".into(),
    };
    let reply = client
        .set_parameters(set.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (reply.step, &reply.weights_digest),
        (3, &model.weights_digest)
    );
    // The same request again changes nothing, whatever has happened since.
    let trained = run(&mut client, train(&model, 1)).await.unwrap();
    let again = client
        .set_parameters(set.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, reply);
    let after = now(&mut client, &model).await;
    assert_eq!(after.weights_digest, trained.completed().weights_digest);
    let other = pb::SetParametersRequest {
        expected_step: None,
        ..set
    };
    let status = client.set_parameters(other).await.unwrap_err();
    refused(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let unexpected = pb::TrainBatchRequest {
        expected_step: Some(3),
        ..train(&model, 1)
    };
    let status = client.train_batch(unexpected).await.unwrap_err();
    assert_eq!(fact(&status, "actual"), "4");
}

#[tokio::test]
async fn the_example_of_the_rust_client_learns_xor() {
    let server = Server::start().await;
    let outputs = crate::example::train(&server.address.to_string()).await;
    let outputs = outputs.expect("the example works");
    assert_eq!(outputs.len(), 4);
    for (output, xor) in outputs.into_iter().zip([0.0, 1.0, 1.0, 0.0]) {
        assert!((output - xor).abs() < 0.05, "{output} for {xor}");
    }
}
