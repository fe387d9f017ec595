//! Reads: they go on beside training, change nothing, and say the same whichever way they are asked.

use std::collections::BTreeMap;

use backpropd::rpc::pb;
use pb::{Activation, Dtype, Quantity, TensorEncoding};

use crate::fixture::{
    FOREVER, Server, Training, assert_unchanged, create, create_homework, homework, inputs, layer,
    now, numbers, run, targets, tensor, train, under_way,
};

fn ask_predict(model: &pb::Model, inputs: pb::Tensor) -> pb::PredictRequest {
    pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name.clone())),
        inputs: Some(inputs),
        ..Default::default()
    }
}

fn ask_gradients(model: &pb::Model) -> pb::GradientsRequest {
    pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        inputs: Some(inputs()),
        targets: Some(targets()),
        ..Default::default()
    }
}

async fn predict(client: &mut Training, request: pb::PredictRequest) -> pb::PredictResponse {
    client
        .predict(request)
        .await
        .expect("a good request")
        .into_inner()
}

async fn gradients(client: &mut Training, request: pb::GradientsRequest) -> pb::GradientsResponse {
    client
        .gradients(request)
        .await
        .expect("a good request")
        .into_inner()
}

#[tokio::test]
async fn reads_and_other_sessions_go_on_beside_a_long_run() {
    let server = Server::with(|config| config.threads = 1).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let (_, _running) = under_way(&mut client, train(&model, FOREVER)).await;
    let mut last = 0;
    for _ in 0..50 {
        let other = create_homework(&mut client).await;
        let told = run(&mut client, train(&other, 1)).await.expect("its turn");
        assert_eq!(told.completed().step, 1);
        let predicted = predict(&mut client, ask_predict(&model, inputs())).await;
        let shown = gradients(&mut client, ask_gradients(&model)).await;
        assert!(last <= predicted.step && predicted.step <= shown.step);
        last = shown.step;
    }
    assert!(last > 0, "the long run goes on, too");
    assert!(now(&mut client, &model).await.training);
}

#[tokio::test]
async fn a_row_has_the_same_bits_alone_and_in_a_batch() {
    const ROWS: usize = 33;
    let server = Server::start().await;
    let mut client = server.training().await;
    let architectures: &[&[i32]] = &[
        &[4, 3, 2, 1],
        &[1, 1, 1],
        &[65, 1],
        &[64, 65, 1],
        &[130, 129, 128, 2],
        &[300, 7, 100, 10],
        &[17, 66, 5, 1, 90, 3],
        &[1, 130],
        // Large enough that a batch is shared between threads.
        &[784, 256, 10],
    ];
    let mut shapes: Vec<Vec<i32>> = architectures.iter().map(|sizes| sizes.to_vec()).collect();
    shapes.extend(
        (1..=130)
            .step_by(3)
            .map(|width| vec![70, width, 131 - width]),
    );
    for (index, sizes) in shapes.iter().enumerate() {
        for compute in [Dtype::Float32, Dtype::Float64] {
            let layers = sizes[1..].iter();
            let spec = pb::ModelSpec {
                input_size: sizes[0],
                layers: layers
                    .map(|&units| layer(units, Activation::Tanh, true))
                    .collect(),
                compute: compute.into(),
                ..Default::default()
            };
            let model = create(&mut client, spec, index as i64).await;
            let entries = numbers(ROWS * sizes[0] as usize, index as u64);
            let raw = |rows: &[f64]| pb::PredictRequest {
                encoding: TensorEncoding::Raw.into(),
                ..ask_predict(
                    &model,
                    tensor([(rows.len() / sizes[0] as usize) as i32, sizes[0]], rows),
                )
            };
            let all = predict(&mut client, raw(&entries))
                .await
                .outputs
                .expect("outputs")
                .raw;
            let bytes = all.len() / ROWS;
            for row in [0, 1, ROWS - 1] {
                for count in [1, 2, 5] {
                    let count = count.min(ROWS - row);
                    let n = sizes[0] as usize;
                    let part =
                        predict(&mut client, raw(&entries[row * n..(row + count) * n])).await;
                    let part = part.outputs.expect("outputs").raw;
                    assert_eq!(
                        part,
                        all[row * bytes..(row + count) * bytes],
                        "{sizes:?} {compute:?} rows {row}+{count}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn include_chooses_the_quantities_and_nothing_else_changes() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let all = gradients(&mut client, ask_gradients(&model)).await;
    let mut of_all: BTreeMap<i32, Vec<pb::NamedTensor>> = BTreeMap::new();
    for named in &all.tensors {
        of_all
            .entry(named.quantity)
            .or_default()
            .push(named.clone());
    }
    // No layer has a bias.
    let without = [Quantity::DB as i32, Quantity::B as i32];
    let expected: Vec<i32> = (1..=13)
        .filter(|number| !without.contains(number))
        .collect();
    assert_eq!(of_all.keys().copied().collect::<Vec<_>>(), expected);
    for number in 1..=13 {
        let request = pb::GradientsRequest {
            include: vec![number],
            ..ask_gradients(&model)
        };
        let one = gradients(&mut client, request).await;
        assert_eq!(
            one.tensors,
            of_all.get(&number).cloned().unwrap_or_default()
        );
        assert_eq!((one.loss, one.step), (all.loss, 0));
    }
    // dWⁱ = dzⁱᵀ hⁱ⁻¹ and l = 1/(2m) Σ‖f − y‖², from the reply's own tensors.
    let of = |quantity: Quantity, layer: i32| {
        let found = all
            .tensors
            .iter()
            .find(|t| t.quantity == quantity as i32 && t.layer == layer);
        found
            .and_then(|t| t.tensor.clone())
            .expect("in the reply")
            .values
    };
    let (f, y) = (of(Quantity::H, 3), of(Quantity::Y, 0));
    let squares = f.iter().zip(&y).map(|(f, y)| (f - y).powi(2));
    assert!((squares.sum::<f64>() / 4.0 - all.loss).abs() < 1e-14);
    let (dz, h, dw) = (of(Quantity::DZ, 2), of(Quantity::H, 1), of(Quantity::DW, 2));
    for (i, j) in (0..2).flat_map(|i| (0..3).map(move |j| (i, j))) {
        let sum: f64 = (0..2).map(|row| dz[row * 2 + i] * h[row * 3 + j]).sum();
        assert!((sum - dw[i * 3 + j]).abs() < 1e-14);
    }
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn values_and_raw_of_either_type_are_the_same_numbers() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let entries = inputs().values;
    let raw64: Vec<u8> = entries.iter().flat_map(|x| x.to_le_bytes()).collect();
    let raw32: Vec<u8> = entries
        .iter()
        .flat_map(|x| (*x as f32).to_le_bytes())
        .collect();
    let raw = |raw: Vec<u8>, dtype: Dtype| pb::Tensor {
        shape: vec![2, 4],
        raw: raw.into(),
        dtype: dtype.into(),
        ..Default::default()
    };
    for compute in [Dtype::Float32, Dtype::Float64] {
        let spec = pb::ModelSpec {
            compute: compute.into(),
            ..homework()
        };
        let model = create(&mut client, spec, 5).await;
        let plain = predict(&mut client, ask_predict(&model, inputs()))
            .await
            .outputs
            .unwrap();
        assert_eq!(plain.dtype(), compute);
        assert!(plain.raw.is_empty(), "values are answered with values");
        let expected: Vec<u8> = match compute {
            Dtype::Float32 => plain
                .values
                .iter()
                .flat_map(|x| (*x as f32).to_le_bytes())
                .collect(),
            pb::Dtype::Unspecified | pb::Dtype::Float64 => {
                plain.values.iter().flat_map(|x| x.to_le_bytes()).collect()
            }
        };
        // The inputs are sums of halves, so that FLOAT32 holds them exactly.
        for sent in [
            raw(raw64.clone(), Dtype::Float64),
            raw(raw64.clone(), Dtype::Unspecified),
            raw(raw32.clone(), Dtype::Float32),
        ] {
            let answer = predict(&mut client, ask_predict(&model, sent.clone())).await;
            let answer = answer.outputs.unwrap();
            assert_eq!(
                answer.raw, expected,
                "raw is answered with raw, in the model's type"
            );
            assert!(answer.values.is_empty());
            let request = pb::PredictRequest {
                encoding: TensorEncoding::Values.into(),
                ..ask_predict(&model, sent)
            };
            assert_eq!(predict(&mut client, request).await.outputs.unwrap(), plain);
        }
    }
}

#[tokio::test]
async fn labels_are_short_for_one_hot_rows() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut spec = homework();
    spec.layers[2].units = 3;
    spec.loss = pb::Loss::CrossEntropy.into();
    let model = create(&mut client, spec, 1).await;
    let one_hot = pb::GradientsRequest {
        targets: Some(tensor([2, 3], &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0])),
        ..ask_gradients(&model)
    };
    let labels = pb::GradientsRequest {
        targets: None,
        labels: vec![2, 0],
        ..ask_gradients(&model)
    };
    let one_hot = gradients(&mut client, one_hot).await;
    let labels = gradients(&mut client, labels).await;
    assert_eq!(one_hot.loss, labels.loss);
    assert_eq!(one_hot.tensors, labels.tensors);
    assert_eq!(one_hot.accuracy, labels.accuracy);
}

#[tokio::test]
async fn every_default_is_filled_in() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut spec = homework();
    spec.layers[0].activation = Activation::LeakyRelu.into();
    let model = create(&mut client, spec, 1).await;
    let spec = model.spec.clone().expect("a spec");
    let layers = spec.layers.iter();
    let layers: Vec<_> = layers
        .map(|l| (l.activation(), l.init(), l.leaky_relu_slope))
        .collect();
    let expected = [
        (Activation::LeakyRelu, pb::Init::HeNormal, Some(0.01)),
        (Activation::Relu, pb::Init::HeNormal, None),
        (Activation::Linear, pb::Init::XavierNormal, None),
    ];
    assert_eq!(layers, expected);
    assert_eq!(spec.loss(), pb::Loss::HalfSquaredError);
    assert_eq!(spec.reduction(), pb::Reduction::Mean);
    assert_eq!(spec.compute(), Dtype::Float64);
    assert_eq!(spec.relu_at_zero(), pb::ReluAtZero::One);
    let sgd = pb::Sgd {
        learning_rate: Some(0.01),
        ..Default::default()
    };
    assert_eq!(spec.optimizer, Some(pb::model_spec::Optimizer::Sgd(sgd)));
    let constant = pb::schedule::Kind::Constant(pb::ConstantSchedule {});
    assert_eq!(spec.schedule.and_then(|s| s.kind), Some(constant));
    assert_eq!(model.parameter_count, 12 + 6 + 2);
    let again = now(&mut client, &model).await;
    assert_eq!(again, model, "GetModel shows what CreateModel answered");
    // What is shown is what is meant: asked for in full it makes the same model.
    let in_full = create(&mut client, model.spec.clone().expect("a spec"), 1).await;
    assert_eq!(in_full.spec, model.spec);
    assert_eq!(in_full.weights_digest, model.weights_digest);
}

#[tokio::test]
async fn validating_makes_nothing() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut sessions = server.sessions().await;
    let request = pb::CreateModelRequest {
        spec: Some(homework()),
        seed: 3,
        validate_only: true,
        ..Default::default()
    };
    let shown = client
        .create_model(request)
        .await
        .unwrap()
        .into_inner()
        .model
        .unwrap();
    let made = create(&mut client, homework(), 3).await;
    assert_eq!(shown.weights_digest, made.weights_digest);
    assert_eq!(shown.spec, made.spec);
    let list = sessions
        .list_sessions(pb::ListSessionsRequest::default())
        .await
        .unwrap();
    let names: Vec<_> = list
        .into_inner()
        .sessions
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names.len(), 1);
    assert!(made.name.starts_with(&names[0]));
}
