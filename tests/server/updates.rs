//! UpdateModel: the training of a model changes, its weights and moments stay.

use backpropd::rpc::pb;
use pb::model_spec::Optimizer;
use prost_types::FieldMask;
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::fixture::{
    FOREVER, Server, Training, assert_unchanged, bad_fields, begin, copy_of, create,
    create_homework, dw_of_the_homework, homework, homework_parameters, homework_with_adam, listen,
    now, refused, run, train, under_way, until, wide,
};

fn change(model: &pb::Model, paths: &[&str], spec: pb::ModelSpec) -> pb::UpdateModelRequest {
    pb::UpdateModelRequest {
        model: model.name.clone(),
        spec: Some(spec),
        update_mask: Some(FieldMask {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        }),
        ..Default::default()
    }
}

async fn updated(
    client: &mut Training,
    request: pb::UpdateModelRequest,
) -> Result<pb::Model, Status> {
    let reply = client.update_model(request).await?;
    Ok(reply.into_inner().model.expect("a model"))
}

fn adam(learning_rate: f64) -> pb::ModelSpec {
    let adam = pb::Adam {
        learning_rate: Some(learning_rate),
        beta1: Some(0.5),
        ..Default::default()
    };
    pb::ModelSpec {
        optimizer: Some(Optimizer::Adam(adam)),
        ..Default::default()
    }
}

/// Steps with the model's own learning rate.
fn steps(model: &pb::Model, steps: i32) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        learning_rate: None,
        ..train(model, steps)
    }
}

#[tokio::test]
async fn a_new_learning_rate_holds_from_the_next_step_and_the_moments_stay() {
    let folder = TempDir::new().expect("a folder");
    // The small model is stored in the log, the large one in its file.
    for spec in [homework_with_adam(), wide()] {
        let server = Server::on(&folder, |_| ()).await;
        let mut client = server.training().await;
        let [model, twin] = [
            create(&mut client, spec.clone(), 1).await,
            create(&mut client, spec, 1).await,
        ];
        for model in [&model, &twin] {
            run(&mut client, steps(model, 4)).await.unwrap();
        }
        let before = now(&mut client, &model).await;
        let request = change(&model, &["adam.learning_rate"], adam(0.01));
        let after = updated(&mut client, request).await.unwrap();
        assert_eq!((after.step, after.durable_step), (4, Some(4)));
        assert_eq!(after.weights_digest, before.weights_digest);
        let Some(Optimizer::Adam(own)) = after.spec.as_ref().and_then(|spec| spec.optimizer) else {
            panic!("the optimizer's kind stays");
        };
        assert_eq!((own.learning_rate, own.beta1), (Some(0.01), Some(0.9)));
        // What a kill would leave.
        let left = copy_of(&folder);
        server.stop().await;
        let killed = Server::on(&left, |_| ()).await;
        let found = now(&mut killed.training().await, &model).await;
        assert_eq!((&found.spec, found.step), (&after.spec, 4));
        killed.stop().await;

        let server = Server::on(&folder, |_| ()).await;
        let mut client = server.training().await;
        let found = now(&mut client, &model).await;
        assert_eq!((&found.spec, found.step), (&after.spec, 4));
        let told = run(&mut client, steps(&model, 4)).await.unwrap();
        let request = pb::TrainBatchRequest {
            learning_rate: Some(0.01),
            ..steps(&twin, 4)
        };
        let expected = run(&mut client, request).await.unwrap();
        assert_eq!(
            told.completed().weights_digest,
            expected.completed().weights_digest
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn only_the_fields_of_the_mask_change() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let schedule = pb::Schedule {
        warmup_steps: 3,
        kind: Some(pb::schedule::Kind::Step(pb::StepSchedule {
            every_steps: 5,
            gamma: Some(0.5),
        })),
    };
    let given = pb::ModelSpec {
        clip_norm: 2.0,
        reduction: pb::Reduction::Sum.into(),
        schedule: Some(schedule),
        input_size: 17,
        ..adam(0.25)
    };
    let mut expected = model.spec.clone().expect("a spec");
    let own = |spec: &mut pb::ModelSpec, change: fn(&mut pb::Adam)| match &mut spec.optimizer {
        Some(Optimizer::Adam(adam)) => change(adam),
        other => panic!("{other:?}"),
    };
    let mut check = async |paths: &[&str], expected: &pb::ModelSpec| {
        let request = change(&model, paths, given.clone());
        let after = updated(&mut client, request).await.unwrap();
        assert_eq!(after.spec.as_ref(), Some(expected), "{paths:?}");
    };
    expected.clip_norm = 2.0;
    check(&["clip_norm"], &expected).await;
    own(&mut expected, |adam| adam.beta1 = Some(0.5));
    check(&["adam.beta1"], &expected).await;
    expected.schedule = Some(schedule);
    expected.reduction = pb::Reduction::Sum.into();
    check(&["schedule", "reduction"], &expected).await;
    // The whole optimizer; what the message leaves out has its default.
    own(&mut expected, |adam| adam.learning_rate = Some(0.25));
    check(&["adam"], &expected).await;
}

#[tokio::test]
async fn every_field_that_cannot_be_updated_is_named_with_those_that_can() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let paths = [
        "layers",
        "loss",
        "compute",
        "adam.alpha",
        "sgd.momentum",
        "schedule.cosine",
        "*",
        "reduction",
    ];
    let request = pb::UpdateModelRequest {
        model: "hw".to_owned(),
        request_id: "r".repeat(129),
        ..change(
            &model,
            &paths,
            pb::ModelSpec {
                reduction: 9,
                ..adam(1.0)
            },
        )
    };
    let status = updated(&mut client, request).await.unwrap_err();
    let fields = [
        "model",
        "update_mask.paths[0]",
        "update_mask.paths[1]",
        "update_mask.paths[2]",
        "update_mask.paths[3]",
        "spec.sgd",
        "update_mask.paths[5]",
        "update_mask.paths[6]",
        "spec.reduction",
        "request_id",
    ];
    assert_eq!(bad_fields(&status), fields);
    assert!(status.message().contains("clip_norm, reduction, schedule"));
    for paths in [&[][..], &["clip_norm"; 33]] {
        let request = change(&model, paths, adam(1.0));
        let status = updated(&mut client, request).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["update_mask"]);
    }
    // Numbers out of range, as in CreateModel.
    let wrong = pb::ModelSpec {
        clip_norm: -1.0,
        schedule: Some(pb::Schedule {
            warmup_steps: -1,
            kind: None,
        }),
        ..adam(f64::NAN)
    };
    let paths = ["adam.learning_rate", "schedule", "clip_norm"];
    let status = updated(&mut client, change(&model, &paths, wrong)).await;
    let fields = [
        "spec.adam.learning_rate",
        "spec.schedule.warmup_steps",
        "spec.clip_norm",
    ];
    assert_eq!(bad_fields(&status.unwrap_err()), fields);
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn the_kind_of_the_optimizer_and_its_state_stay() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let status = updated(&mut client, change(&model, &["adam"], adam(0.1))).await;
    assert_eq!(bad_fields(&status.unwrap_err()), ["spec.adam"]);
    let sgd = |momentum| pb::ModelSpec {
        optimizer: Some(Optimizer::Sgd(pb::Sgd {
            momentum,
            ..Default::default()
        })),
        ..Default::default()
    };
    let paths = ["sgd.momentum"];
    let status = updated(&mut client, change(&model, &paths, sgd(0.9))).await;
    assert_eq!(bad_fields(&status.unwrap_err()), ["spec.sgd.momentum"]);
    let with_momentum = pb::ModelSpec {
        optimizer: sgd(0.9).optimizer,
        ..homework()
    };
    let model = create(&mut client, with_momentum, 1).await;
    let status = updated(&mut client, change(&model, &paths, sgd(0.0))).await;
    assert_eq!(bad_fields(&status.unwrap_err()), ["spec.sgd.momentum"]);
    let request = change(&model, &paths, sgd(0.5));
    updated(&mut client, request).await.expect("another value");
}

#[tokio::test]
async fn a_repeated_update_happens_once() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let path = ["adam.learning_rate"];
    let first = pb::UpdateModelRequest {
        request_id: "a".to_owned(),
        expected_step: Some(0),
        ..change(&model, &path, adam(0.5))
    };
    updated(&mut client, first.clone()).await.unwrap();
    let second = change(&model, &path, adam(0.25));
    let after = updated(&mut client, second).await.unwrap();
    run(&mut client, train(&model, 1)).await.unwrap();
    let again = updated(&mut client, first.clone()).await.unwrap();
    assert_eq!(again.spec, after.spec, "the first one is over");
    let other = pb::UpdateModelRequest {
        request_id: "a".to_owned(),
        ..change(&model, &path, adam(0.75))
    };
    let status = updated(&mut client, other).await.unwrap_err();
    refused(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let late = pb::UpdateModelRequest {
        request_id: "b".to_owned(),
        ..first
    };
    let status = updated(&mut client, late).await.unwrap_err();
    refused(&status, Code::Aborted, "STEP_MISMATCH");
}

fn slower(model: &pb::Model) -> pb::UpdateModelRequest {
    let sgd = Optimizer::Sgd(pb::Sgd {
        learning_rate: Some(1e-5),
        ..Default::default()
    });
    let spec = pb::ModelSpec {
        optimizer: Some(sgd),
        ..Default::default()
    };
    change(model, &["sgd.learning_rate"], spec)
}

#[tokio::test]
async fn a_run_that_waits_behind_an_update_uses_it() {
    let server = Server::start().await;
    // Which of two requests comes first is settled by their arrival; the reply tells.
    for attempt in 0.. {
        assert!(attempt < 100, "an update never comes first");
        let mut client = server.training().await;
        let model = create_homework(&mut client).await;
        let (_, running) = under_way(&mut client, train(&model, FOREVER)).await;
        let update = tokio::spawn({
            let (mut client, request) = (client.clone(), slower(&model));
            async move { updated(&mut client, request).await }
        });
        let next = tokio::spawn({
            let (mut client, request) = (client.clone(), steps(&model, 1));
            async move {
                let mut stream = client.train_batch(request).await?.into_inner();
                let started = begin(&mut stream).await;
                Ok::<_, Status>(listen(started, stream).await)
            }
        });
        until(async || {
            let model = model.name.clone();
            let runs = client.list_runs(pb::ListRunsRequest { model }).await;
            runs.expect("it is there").into_inner().queued == 1
        })
        .await;
        drop(running);
        update.await.expect("no panic").expect("a good request");
        let told = next.await.expect("no panic").expect("its turn comes");
        assert_eq!(now(&mut client, &model).await.step, told.completed().step);
        if told.started.queue_position == 2 {
            assert_eq!(told.steps[0].learning_rate, 1e-5);
            return;
        }
    }
}

#[tokio::test]
async fn no_write_is_lost_beside_an_update() {
    let server = Server::start().await;
    let mut client = server.training().await;
    for _ in 0..10 {
        let model = create_homework(&mut client).await;
        let (_, running) = under_way(&mut client, train(&model, FOREVER)).await;
        let update = tokio::spawn({
            let (mut client, request) = (client.clone(), slower(&model));
            async move { updated(&mut client, request).await }
        });
        let apply = tokio::spawn({
            let request = pb::ApplyGradientsRequest {
                model: model.name.clone(),
                gradients: dw_of_the_homework(),
                ..Default::default()
            };
            let mut client = client.clone();
            async move { client.apply_gradients(request).await }
        });
        let set = tokio::spawn({
            let request = pb::SetParametersRequest {
                model: model.name.clone(),
                parameters: homework_parameters(),
                ..Default::default()
            };
            let mut client = client.clone();
            async move { client.set_parameters(request).await }
        });
        // Enough for the requests to arrive.
        for _ in 0..3 {
            now(&mut client, &model).await;
        }
        drop(running);
        let seen = update.await.expect("no panic").expect("a good request");
        let applied = apply.await.expect("no panic").expect("its turn comes");
        let set = set.await.expect("no panic").expect("its turn comes");
        let (applied, set) = (applied.into_inner(), set.into_inner());
        let after = now(&mut client, &model).await;
        assert_eq!(after.spec, seen.spec);
        assert_eq!(after.step, applied.step);
        let written = [applied.weights_digest, set.weights_digest];
        assert!(written.contains(&after.weights_digest));
    }
}
