//! Evaluation on held-out samples during a run: figures, patience, the best parameters.

use backpropd::rpc::pb;
use pb::dataset_rows::Selection;
use pb::train_batch_response::Event;
use tempfile::TempDir;
use tonic::Code;

use super::fixture::{
    Server, Training, bad_fields, copy_of, create, create_homework, create_in, create_session, get,
    homework, inputs, layer, next, now, run, tensor, train, until,
};

/// The events of a run: its held-out figures and its end.
async fn events(
    client: &mut Training,
    request: pb::TrainBatchRequest,
) -> (Vec<pb::HeldOutMetrics>, pb::Completed) {
    let reply = client.train_batch(request).await.expect("a good request");
    let mut stream = reply.into_inner();
    let (mut figures, mut last_step) = (Vec::new(), 0);
    loop {
        let message = next(&mut stream).await.expect("it trains");
        match message.and_then(|message| message.event).expect("an event") {
            Event::Started(_) => {}
            Event::Progress(progress) => {
                last_step = progress.steps.last().map_or(last_step, |step| step.step);
            }
            Event::HeldOut(held_out) => {
                assert!(held_out.step >= last_step, "steps before come before");
                figures.push(held_out);
            }
            Event::Completed(completed) => return (figures, completed),
        }
    }
}

fn held_out() -> pb::HeldOut {
    pb::HeldOut {
        inputs: Some(tensor([1, 4], &[0.5, 1.0, -1.0, 2.0])),
        targets: Some(tensor([1, 1], &[0.25])),
        ..Default::default()
    }
}

fn evaluated(model: &pb::Model, epochs: i32, held_out: pb::HeldOut) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        steps: 0,
        epochs,
        held_out: Some(held_out),
        ..train(model, 0)
    }
}

#[tokio::test]
async fn figures_come_after_every_nth_epoch_and_change_no_bit() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let (one, other) = (
        create_homework(&mut client).await,
        create_homework(&mut client).await,
    );
    let every_third = pb::HeldOut {
        every_epochs: 3,
        ..held_out()
    };
    let (figures, completed) = events(&mut client, evaluated(&one, 10, every_third)).await;
    let steps: Vec<_> = figures.iter().map(|figure| figure.step).collect();
    assert_eq!(steps, [3, 6, 9, 10]);
    let epochs: Vec<_> = figures.iter().map(|figure| figure.epoch).collect();
    assert_eq!(epochs, [3, 6, 9, 10]);
    let plain = pb::TrainBatchRequest {
        held_out: None,
        ..evaluated(&other, 10, held_out())
    };
    let told = run(&mut client, plain).await.expect("it trains");
    assert_eq!(told.completed().weights_digest, completed.weights_digest);
    assert_eq!(told.completed().best_step, None);

    let last = figures.last().expect("figures");
    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(one.name.clone())),
        inputs: held_out().inputs,
        targets: held_out().targets,
        include: vec![pb::Quantity::Delta.into()],
        ..Default::default()
    };
    let reply = client.gradients(gradients).await.expect("a good request");
    assert_eq!(reply.into_inner().loss, last.loss);
    let best = figures.iter().rfind(|figure| figure.is_best);
    assert_eq!(completed.best_step, best.map(|figure| figure.step));
    assert_eq!(completed.stop_reason(), pb::StopReason::Finished);
}

#[tokio::test]
async fn a_run_ends_when_its_patience_does_and_says_so_again() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let patient = pb::HeldOut {
        every_steps: 2,
        patience: 3,
        ..held_out()
    };
    let request = pb::TrainBatchRequest {
        learning_rate: Some(0.0),
        request_id: "once".to_owned(),
        ..evaluated(&model, 1000, patient.clone())
    };
    let (figures, completed) = events(&mut client, request.clone()).await;
    // Nothing is learnt, so that the first evaluation stays the best.
    let best: Vec<_> = figures.iter().map(|figure| figure.is_best).collect();
    assert_eq!(best, [true, false, false, false]);
    assert_eq!(completed.stop_reason(), pb::StopReason::Patience);
    assert_eq!((completed.steps_done, completed.best_step), (8, Some(2)));

    let (none, again) = events(&mut client, request.clone()).await;
    assert!(none.is_empty());
    assert_eq!(again.stop_reason(), pb::StopReason::Patience);
    assert_eq!((again.steps_done, again.best_step), (8, Some(2)));
    let other = pb::HeldOut {
        patience: 4,
        ..patient
    };
    let other = pb::TrainBatchRequest {
        held_out: Some(other),
        ..request
    };
    let reused = run(&mut client, other).await.expect_err("another request");
    assert_eq!(reused.code(), Code::InvalidArgument);
    assert!(reused.message().contains("request_id"), "{reused}");
}

#[tokio::test]
async fn the_best_parameters_are_kept_and_survive_a_crash() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let adam = pb::ModelSpec {
        optimizer: Some(pb::model_spec::Optimizer::Adam(pb::Adam::default())),
        ..homework()
    };
    let (one, other) = (
        create(&mut client, adam.clone(), 3).await,
        create(&mut client, adam, 3).await,
    );
    // What is trained on and what is held out disagree, so that one gets worse as the other gets better.
    let opposite = pb::HeldOut {
        inputs: Some(inputs()),
        targets: Some(tensor([2, 1], &[-3.0, 3.0])),
        every_steps: 1,
        keep_best: true,
        ..Default::default()
    };
    let request = pb::TrainBatchRequest {
        learning_rate: Some(0.05),
        ..evaluated(&one, 30, opposite)
    };
    let (figures, completed) = events(&mut client, request).await;
    let best = completed.best_step.expect("evaluations");
    let smallest = figures
        .iter()
        .map(|figure| figure.loss)
        .fold(f64::MAX, f64::min);
    let at_best = figures.iter().find(|figure| figure.step == best);
    assert_eq!(at_best.expect("it was evaluated").loss, smallest);
    assert!(best < 30, "{figures:?}");
    assert_eq!((completed.step, completed.steps_done), (30, 30));
    let up_to_best = pb::TrainBatchRequest {
        learning_rate: Some(0.05),
        ..train(&other, i32::try_from(best).expect("small"))
    };
    let told = run(&mut client, up_to_best).await.expect("it trains");
    assert_eq!(told.completed().weights_digest, completed.weights_digest);

    let crashed = copy_of(&folder);
    let server = Server::on(&crashed, |_| ()).await;
    let restored = get(&mut server.training().await, &one.name).await;
    let restored = restored.expect("it is there");
    assert_eq!(restored.weights_digest, completed.weights_digest);
    assert_eq!(restored.step, 30);
}

#[tokio::test]
async fn a_client_that_comes_late_sees_the_figures() {
    let server = Server::with(|config| config.run_metrics = 4).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    for epochs in [3, 20] {
        let (figures, _) = events(&mut client, evaluated(&model, epochs, held_out())).await;
        let request = pb::ListRunsRequest {
            model: model.name.clone(),
        };
        let runs = client.list_runs(request).await.expect("it is there");
        let run = runs.into_inner().runs.remove(0);
        let best = figures.iter().rfind(|figure| figure.is_best);
        assert_eq!(run.last_held_out.as_ref(), figures.last());
        assert_eq!(run.best_held_out.as_ref(), best);
        let request = pb::GetRunRequest { name: run.name };
        let shown = client.get_run(request).await.expect("it is there");
        let shown = shown.into_inner();
        if epochs == 3 {
            assert_eq!((&shown.held_out, shown.held_out_every), (&figures, 1));
            continue;
        }
        let every = usize::try_from(shown.held_out_every).expect("positive");
        let mut thinned: Vec<_> = figures.iter().step_by(every).cloned().collect();
        thinned.extend(
            figures
                .last()
                .filter(|last| thinned.last() != Some(last))
                .cloned(),
        );
        assert!(every > 1 && thinned.len() <= 4, "{every}");
        assert_eq!(shown.held_out, thinned);
    }
}

#[tokio::test]
async fn a_resumed_run_counts_its_patience_anew_from_its_own_first_evaluation() {
    const PATIENCE: i64 = 2_000;
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::TrainBatchRequest {
        // Nothing is learnt: no evaluation is better than the first one.
        learning_rate: Some(0.0),
        request_id: "resumed".to_owned(),
        ..evaluated(
            &model,
            1_000_000,
            pb::HeldOut {
                every_steps: 1,
                patience: PATIENCE as i32,
                keep_best: true,
                ..held_out()
            },
        )
    };
    let first = client.train_batch(request.clone()).await;
    let mut first = first.expect("a good request").into_inner();
    loop {
        let message = next(&mut first).await.expect("it trains");
        if let Some(Event::HeldOut(_)) = message.and_then(|message| message.event) {
            break;
        }
    }
    drop(first);
    until(async || !now(&mut server.training().await, &model).await.training).await;
    let stopped_at = now(&mut client, &model).await.step;
    assert!(0 < stopped_at && stopped_at < PATIENCE, "{stopped_at}");

    let (_, completed) = events(&mut client, request).await;
    assert_eq!(completed.stop_reason(), pb::StopReason::Patience);
    assert_eq!(completed.best_step, Some(stopped_at + 1));
    assert_eq!(completed.steps_done, stopped_at + 1 + PATIENCE);
}

#[tokio::test]
async fn a_part_of_a_dataset_is_held_out() {
    let server = Server::start().await;
    let mut client = server.training().await;
    create_session(&server, "lab").await.expect("a session");
    let softmax = pb::ModelSpec {
        input_size: 64,
        layers: vec![layer(10, pb::Activation::Linear, true)],
        loss: pb::Loss::CrossEntropy.into(),
        compute: pb::Dtype::Float32.into(),
        ..Default::default()
    };
    let model = create_in(&server, "sessions/lab", softmax).await;
    let part = |part: pb::SplitPart| pb::DatasetRows {
        dataset: "datasets/digits".to_owned(),
        selection: Some(Selection::Split(pb::Split {
            seed: 1,
            part: part.into(),
            ..Default::default()
        })),
        standardize: false,
    };
    let request = pb::TrainBatchRequest {
        model: model.expect("a good spec").name,
        dataset: Some(part(pb::SplitPart::Training)),
        epochs: 5,
        minibatch_size: 16,
        shuffle_seed: Some(1),
        learning_rate: Some(0.1),
        held_out: Some(pb::HeldOut {
            dataset: Some(part(pb::SplitPart::HeldOut)),
            ..Default::default()
        }),
        ..Default::default()
    };
    let (figures, _) = events(&mut client, request).await;
    let accuracies: Vec<_> = figures
        .iter()
        .filter_map(|figure| figure.accuracy)
        .collect();
    assert_eq!(accuracies.len(), 5);
    assert!(accuracies[4] > 0.9, "{accuracies:?}");
}

#[tokio::test]
async fn every_bad_field_of_an_evaluation_is_named() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let bad = pb::HeldOut {
        targets: None,
        every_steps: 1,
        every_epochs: 1,
        patience: -1,
        ..held_out()
    };
    let refused = run(&mut client, evaluated(&model, 1, bad)).await;
    let expected = [
        "held_out.targets",
        "held_out.every_epochs",
        "held_out.patience",
    ];
    assert_eq!(
        bad_fields(&refused.expect_err("all of it is bad")),
        expected
    );
    let narrow = pb::HeldOut {
        inputs: Some(tensor([1, 3], &[0.5, 1.0, -1.0])),
        ..held_out()
    };
    let refused = run(&mut client, evaluated(&model, 1, narrow)).await;
    let refused = refused.expect_err("three features");
    assert_eq!(bad_fields(&refused), ["held_out.inputs"]);
}
