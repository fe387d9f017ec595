//! ApplyGradients: a loop in the client's hand takes the steps that TrainBatch takes.

use backpropd::rpc::pb;
use pb::model_spec::Optimizer;
use tempfile::TempDir;
use tonic::Code;

use crate::fixture::{
    FOREVER, Server, Training, assert_unchanged, bad_fields, create, create_homework, fact,
    homework, homework_with_adam, inputs, layer, now, numbers, refused, run, targets, tensor,
    train, under_way, wide,
};

fn apply(model: &pb::Model, gradients: Vec<pb::NamedTensor>) -> pb::ApplyGradientsRequest {
    pb::ApplyGradientsRequest {
        model: model.name.clone(),
        gradients: vec![set(gradients, None)],
        ..Default::default()
    }
}

fn set(tensors: Vec<pb::NamedTensor>, weight: Option<f64>) -> pb::GradientSet {
    pb::GradientSet { tensors, weight }
}

/// dW and db of every layer on a batch.
async fn gradients(
    client: &mut Training,
    model: &pb::Model,
    (inputs, targets): (pb::Tensor, pb::Tensor),
    encoding: pb::TensorEncoding,
) -> Vec<pb::NamedTensor> {
    let request = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        inputs: Some(inputs),
        targets: Some(targets),
        include: [pb::Quantity::DW, pb::Quantity::DB]
            .map(Into::into)
            .to_vec(),
        encoding: encoding.into(),
        ..Default::default()
    };
    let reply = client.gradients(request).await.expect("a good request");
    reply.into_inner().tensors
}

/// dW and db on the fixture's two samples.
async fn on_the_batch(client: &mut Training, model: &pb::Model) -> Vec<pb::NamedTensor> {
    let batch = (inputs(), targets());
    gradients(client, model, batch, pb::TensorEncoding::Values).await
}

async fn applied(
    client: &mut Training,
    request: pb::ApplyGradientsRequest,
) -> pb::ApplyGradientsResponse {
    let reply = client.apply_gradients(request).await;
    reply.expect("a good request").into_inner()
}

fn optimizers() -> Vec<Optimizer> {
    vec![
        Optimizer::Sgd(pb::Sgd::default()),
        Optimizer::Sgd(pb::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 1e-3,
            ..Default::default()
        }),
        Optimizer::Adam(pb::Adam::default()),
        Optimizer::Adamw(pb::AdamW::default()),
        Optimizer::Rmsprop(pb::RmsProp {
            momentum: 0.5,
            ..Default::default()
        }),
    ]
}

/// 4-37-20-1: rows that are longer and shorter than a vector, with and without a bias.
fn specs() -> Vec<pb::ModelSpec> {
    let warm = pb::Schedule {
        warmup_steps: 3,
        kind: Some(pb::schedule::Kind::Cosine(pb::CosineSchedule {
            total_steps: 5,
            final_factor: 0.1,
        })),
    };
    let mut specs = Vec::new();
    for optimizer in optimizers() {
        for (clip_norm, schedule) in [(0.0, None), (0.05, Some(warm))] {
            for compute in [pb::Dtype::Float64, pb::Dtype::Float32] {
                let layers = [(37, true), (20, false), (1, true)];
                let layers = layers.map(|(units, bias)| layer(units, pb::Activation::Tanh, bias));
                specs.push(pb::ModelSpec {
                    layers: layers.to_vec(),
                    optimizer: Some(optimizer),
                    clip_norm,
                    schedule,
                    compute: compute.into(),
                    ..homework()
                });
            }
        }
    }
    specs
}

#[tokio::test]
async fn gradients_applied_have_the_bits_of_a_training_step() {
    let server = Server::start().await;
    let mut client = server.training().await;
    for spec in specs() {
        for encoding in [pb::TensorEncoding::Values, pb::TensorEncoding::Raw] {
            let [trained, stepped] = [
                create(&mut client, spec.clone(), 1).await,
                create(&mut client, spec.clone(), 1).await,
            ];
            for step in 1..=6 {
                let batch = (
                    tensor([5, 4], &numbers(20, step)),
                    tensor([5, 1], &numbers(5, 90 + step)),
                );
                let request = pb::TrainBatchRequest {
                    model: trained.name.clone(),
                    inputs: Some(batch.0.clone()),
                    targets: Some(batch.1.clone()),
                    ..Default::default()
                };
                let told = run(&mut client, request).await.unwrap();
                let gradients = gradients(&mut client, &stepped, batch, encoding).await;
                let taken = applied(&mut client, apply(&stepped, gradients)).await;
                let (metrics, completed) = (&told.steps[0], told.completed());
                let bits = |number: f64| number.to_bits();
                assert_eq!(taken.weights_digest, completed.weights_digest, "{spec:?}");
                assert_eq!(bits(taken.gradient_norm), bits(metrics.gradient_norm));
                assert_eq!(bits(taken.learning_rate), bits(metrics.learning_rate));
                assert_eq!(taken.step, completed.step);
            }
        }
    }
}

#[tokio::test]
async fn sets_are_summed_with_their_weights() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let [twin, model] = [
        create_homework(&mut client).await,
        create_homework(&mut client).await,
    ];
    let whole = on_the_batch(&mut client, &model).await;
    let mut halves = Vec::new();
    for row in 0..2 {
        let cells = &inputs().values[4 * row..4 * row + 4];
        let batch = (
            tensor([1, 4], cells),
            tensor([1, 1], &targets().values[row..=row]),
        );
        let half = gradients(&mut client, &model, batch, pb::TensorEncoding::Values).await;
        halves.push(set(half, Some(0.5)));
    }
    // In the order of the request, each product and each sum rounded.
    let mut summed = whole.clone();
    for (index, tensor) in summed.iter_mut().enumerate() {
        let of = |half: &pb::GradientSet| half.tensors[index].tensor.clone().unwrap().values;
        let (one, two) = (of(&halves[0]), of(&halves[1]));
        let sums = one.iter().zip(&two).map(|(a, b)| a * 0.5 + b * 0.5);
        tensor.tensor.as_mut().unwrap().values = sums.collect();
    }
    let accumulated = pb::ApplyGradientsRequest {
        gradients: halves,
        learning_rate: Some(0.125),
        ..apply(&model, Vec::new())
    };
    let accumulated = applied(&mut client, accumulated).await;
    let expected = pb::ApplyGradientsRequest {
        learning_rate: Some(0.125),
        ..apply(&twin, summed)
    };
    let expected = applied(&mut client, expected).await;
    assert_eq!(accumulated, expected);
    assert_eq!(accumulated.learning_rate, 0.125);
    // The mean of the batch's two gradients is the batch's gradient.
    let third = create_homework(&mut client).await;
    let norm = applied(&mut client, apply(&third, whole)).await;
    let error = norm.gradient_norm - accumulated.gradient_norm;
    assert!(error.abs() < 1e-12 * norm.gradient_norm, "{error}");
}

#[tokio::test]
async fn a_repeated_request_takes_one_step() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let gradients = on_the_batch(&mut client, &model).await;
    let request = pb::ApplyGradientsRequest {
        request_id: "a".to_owned(),
        expected_step: Some(0),
        ..apply(&model, gradients)
    };
    let first = applied(&mut client, request.clone()).await;
    assert_eq!((first.step, first.durable_step), (1, Some(1)));
    assert_eq!(applied(&mut client, request.clone()).await, first);
    let after = now(&mut client, &model).await;
    assert_eq!(after.step, 1);
    let mut other = request.clone();
    let tensor = other.gradients[0].tensors[0].tensor.as_mut();
    tensor.expect("a tensor").values[0] += 1e-9;
    let others = [
        other,
        pb::ApplyGradientsRequest {
            learning_rate: Some(1.0),
            ..request.clone()
        },
        pb::ApplyGradientsRequest {
            expected_step: None,
            ..request.clone()
        },
    ];
    for other in others {
        let status = client.apply_gradients(other).await.unwrap_err();
        refused(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    // A TrainBatch cannot take the id either.
    let train = pb::TrainBatchRequest {
        request_id: "a".to_owned(),
        ..train(&model, 1)
    };
    let status = client.train_batch(train).await.unwrap_err();
    refused(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");
    server.stop().await;

    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    assert_eq!(applied(&mut client, request).await, first);
    assert_unchanged(&mut client, &after).await;
}

#[tokio::test]
async fn another_step_than_expected_takes_none() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let gradients = on_the_batch(&mut client, &model).await;
    for expected_step in [-1, 1, i64::MAX] {
        let request = pb::ApplyGradientsRequest {
            expected_step: Some(expected_step),
            ..apply(&model, gradients.clone())
        };
        let status = client.apply_gradients(request).await.unwrap_err();
        refused(&status, Code::Aborted, "STEP_MISMATCH");
        assert_eq!(fact(&status, "actual"), "0");
    }
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn a_step_to_weights_that_are_not_finite_is_refused_and_remembered() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut gradients = on_the_batch(&mut client, &model).await;
    let request = pb::ApplyGradientsRequest {
        learning_rate: Some(1e300),
        request_id: "far".to_owned(),
        ..apply(&model, gradients.clone())
    };
    let mut huge = request.clone();
    huge.gradients[0].weight = Some(1e300);
    for _ in 0..2 {
        let status = client.apply_gradients(huge.clone()).await.unwrap_err();
        refused(&status, Code::FailedPrecondition, "DIVERGED");
        assert_eq!(fact(&status, "step"), "0");
        assert_eq!(fact(&status, "steps_done"), "0");
        assert!(!status.message().contains("NaN"), "{status}");
    }
    assert_unchanged(&mut client, &model).await;
    // Numbers that are not finite are no gradient.
    gradients[1].tensor.as_mut().expect("a tensor").values[2] = f64::NAN;
    let status = client.apply_gradients(apply(&model, gradients)).await;
    let status = status.unwrap_err();
    assert_eq!(bad_fields(&status), ["gradients[0].tensors[1].tensor"]);
    assert!(status.message().contains("row 1, column 3"), "{status}");
}

/// 4-3-1 with a bias in its first layer.
async fn with_one_bias(client: &mut Training) -> pb::Model {
    let spec = pb::ModelSpec {
        layers: vec![
            layer(3, pb::Activation::Unspecified, true),
            layer(1, pb::Activation::Unspecified, false),
        ],
        ..homework()
    };
    create(client, spec, 1).await
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = with_one_bias(&mut client).await;
    let request = pb::ApplyGradientsRequest {
        model: "hw".to_owned(),
        gradients: vec![
            set(Vec::new(), Some(f64::NAN)),
            set(
                vec![
                    pb::NamedTensor {
                        quantity: pb::Quantity::Z.into(),
                        layer: 0,
                        tensor: None,
                    },
                    pb::NamedTensor {
                        quantity: pb::Quantity::DW.into(),
                        layer: 1,
                        tensor: None,
                    },
                    pb::NamedTensor {
                        quantity: pb::Quantity::DB.into(),
                        layer: -1,
                        tensor: Some(tensor([1, 3], &[1.0, 2.0, 3.0])),
                    },
                ],
                None,
            ),
        ],
        learning_rate: Some(-1.0),
        expected_step: None,
        request_id: "r".repeat(129),
        durability: 7,
        skip_digest: true,
    };
    let status = client.apply_gradients(request).await.unwrap_err();
    let fields = [
        "model",
        "gradients[0].weight",
        "gradients[0].tensors",
        "gradients[1].tensors[0].quantity",
        "gradients[1].tensors[0].layer",
        "gradients[1].tensors[1].tensor",
        "gradients[1].tensors[2].layer",
        "gradients[1].tensors[2].tensor.shape",
        "learning_rate",
        "durability",
        "request_id",
    ];
    assert_eq!(bad_fields(&status), fields);
    let none = pb::ApplyGradientsRequest {
        gradients: Vec::new(),
        ..apply(&model, Vec::new())
    };
    let status = client.apply_gradients(none).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["gradients"]);
}

#[tokio::test]
async fn every_tensor_that_does_not_fit_the_model_is_named() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = with_one_bias(&mut client).await;
    let dw = |layer, shape, values: &[f64]| pb::NamedTensor {
        quantity: pb::Quantity::DW.into(),
        layer,
        tensor: Some(tensor(shape, values)),
    };
    let db = |layer, values: &[f64]| pb::NamedTensor {
        quantity: pb::Quantity::DB.into(),
        layer,
        tensor: Some(pb::Tensor {
            shape: vec![values.len() as i32],
            values: values.to_vec(),
            ..Default::default()
        }),
    };
    let gradients = vec![
        dw(1, [4, 3], &numbers(12, 1)),
        dw(1, [3, 4], &numbers(12, 1)),
        db(1, &[0.5, 0.5]),
        db(2, &[0.5]),
        dw(3, [1, 1], &[0.5]),
    ];
    let status = client.apply_gradients(apply(&model, gradients)).await;
    let fields = [
        "gradients[0].tensors[0].tensor.shape",
        "gradients[0].tensors[1]",
        "gradients[0].tensors[2].tensor.shape",
        "gradients[0].tensors[3]",
        "gradients[0].tensors[4].layer",
        "gradients[0].tensors",
    ];
    assert_eq!(bad_fields(&status.unwrap_err()), fields);
    let only_weights = vec![
        dw(1, [3, 4], &numbers(12, 1)),
        dw(2, [1, 3], &numbers(3, 1)),
    ];
    let status = client.apply_gradients(apply(&model, only_weights)).await;
    let status = status.unwrap_err();
    assert_eq!(bad_fields(&status), ["gradients[0].tensors"]);
    assert!(
        status.message().contains("QUANTITY_D_B of layer 1"),
        "{status}"
    );
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn steps_wait_for_their_turn() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let gradients = on_the_batch(&mut client, &model).await;
    let (_, running) = under_way(&mut client, train(&model, FOREVER)).await;
    let waiting = tokio::spawn({
        let (mut client, request) = (client.clone(), apply(&model, gradients));
        async move { applied(&mut client, request).await }
    });
    drop(running);
    let taken = waiting.await.expect("no panic");
    assert!(taken.step > 1);
    assert_eq!(now(&mut client, &model).await.step, taken.step);
}

#[tokio::test]
async fn a_large_model_is_durable_with_the_reply_and_relaxed_soon_after() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    let raw = pb::TensorEncoding::Raw;
    let gradients = gradients(&mut client, &model, (inputs(), targets()), raw).await;
    let relaxed = pb::ApplyGradientsRequest {
        durability: pb::Durability::Relaxed.into(),
        request_id: "relaxed".to_owned(),
        ..apply(&model, gradients.clone())
    };
    let taken = applied(&mut client, relaxed.clone()).await;
    assert_eq!((taken.step, taken.durable_step), (1, Some(0)));
    // Repeated as DURABLE, it is on disk before the reply.
    let durable = pb::ApplyGradientsRequest {
        durability: pb::Durability::Durable.into(),
        ..relaxed
    };
    let again = applied(&mut client, durable).await;
    assert_eq!((again.step, again.durable_step), (1, Some(1)));
    let taken = applied(&mut client, apply(&model, gradients.clone())).await;
    assert_eq!((taken.step, taken.durable_step), (2, Some(2)));
    // Nothing else changes if the digest is left out.
    let mut unhashed = apply(&model, gradients.clone());
    unhashed.skip_digest = true;
    let unhashed = applied(&mut client, unhashed).await;
    assert_eq!((unhashed.step, &*unhashed.weights_digest), (3, ""));
    assert_eq!(unhashed.gradient_norm, taken.gradient_norm);
    // A run follows.
    let told = run(&mut client, train(&model, 3)).await.unwrap();
    assert_eq!(told.completed().step, 6);
    let after = now(&mut client, &model).await;
    server.stop().await;
    let server = Server::on(&folder, |_| ()).await;
    assert_unchanged(&mut server.training().await, &after).await;
}
