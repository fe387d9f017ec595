//! Fields that cannot be meant: all of them at once, each with its path.

use backpropd::rpc::pb;

use crate::fixture::{
    self, Server, assert_unchanged, bad_fields, create, create_homework, homework, tensor, train,
};

#[tokio::test]
async fn every_bad_field_of_a_model_is_named_at_once() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let leaky = pb::Layer {
        units: 2,
        activation: pb::Activation::LeakyRelu.into(),
        leaky_relu_slope: Some(2.0),
        ..Default::default()
    };
    let unknown = pb::Layer {
        units: -1,
        activation: 99,
        init: 99,
        ..Default::default()
    };
    let request = pb::CreateModelRequest {
        session: "Bad".into(),
        model_id: "Bad".into(),
        spec: Some(pb::ModelSpec {
            input_size: 0,
            layers: vec![unknown, leaky],
            loss: 99,
            reduction: -1,
            optimizer: Some(pb::model_spec::Optimizer::Sgd(pb::Sgd {
                learning_rate: Some(f64::NAN),
                momentum: 1.0,
                ..Default::default()
            })),
            schedule: Some(pb::Schedule {
                warmup_steps: -1,
                kind: None,
            }),
            clip_norm: f64::INFINITY,
            compute: 99,
            relu_at_zero: 99,
        }),
        parameters: vec![pb::LayerParameters::default()],
        request_id: "r".repeat(129),
        ..Default::default()
    };
    let status = client.create_model(request).await.unwrap_err();
    let mut fields = bad_fields(&status);
    fields.sort();
    let expected = [
        "model_id",
        "parameters[0].weights",
        "request_id",
        "session",
        "spec.clip_norm",
        "spec.compute",
        "spec.input_size",
        "spec.layers[0].activation",
        "spec.layers[0].init",
        "spec.layers[0].units",
        "spec.layers[1].leaky_relu_slope",
        "spec.loss",
        "spec.reduction",
        "spec.relu_at_zero",
        "spec.schedule.warmup_steps",
        "spec.sgd.learning_rate",
        "spec.sgd.momentum",
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn a_spec_that_is_too_much_or_too_little_is_refused() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let layers = |layers| pb::ModelSpec {
        layers,
        ..homework()
    };
    let wide = pb::ModelSpec {
        input_size: i32::MAX,
        layers: vec![fixture::layer(i32::MAX, pb::Activation::Relu, true)],
        ..Default::default()
    };
    let sixty_five_thousand = fixture::layer(65_536, pb::Activation::Relu, true);
    let cases: [(Option<pb::ModelSpec>, &[&str]); 6] = [
        (None, &["spec"]),
        (
            Some(pb::ModelSpec::default()),
            &["spec.input_size", "spec.layers"],
        ),
        (Some(layers(vec![])), &["spec.layers"]),
        (
            Some(layers(vec![pb::Layer::default(); 10_000])),
            &["spec.layers"],
        ),
        (Some(wide), &["spec.input_size", "spec.layers[0].units"]),
        // 64 layers of 65,536 units each: the number of parameters is what is too much.
        (
            Some(layers(vec![sixty_five_thousand; 64])),
            &["spec.layers"],
        ),
    ];
    for (spec, expected) in cases {
        let request = pb::CreateModelRequest {
            spec,
            ..Default::default()
        };
        let status = client.create_model(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), expected, "{status:?}");
    }
    let request = pb::CreateModelRequest {
        spec: Some(homework()),
        parameters: vec![pb::LayerParameters::default(); 10_000],
        ..Default::default()
    };
    let status = client.create_model(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["parameters"]);
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named_layer_by_layer() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let mut parameters = fixture::homework_parameters();
    parameters[0].weights = Some(tensor([4, 3], &[0.5; 12]));
    parameters[1].weights = Some(tensor([2, 3], &[0.5, 0.5, f64::NAN, 0.5, 0.5, 0.5]));
    parameters[2].bias = Some(pb::Tensor {
        shape: vec![1],
        values: vec![0.0],
        ..Default::default()
    });
    let expected = [
        "parameters[0].weights",
        "parameters[1].weights",
        "parameters[2].bias",
    ];
    let set = |parameters: &[pb::LayerParameters]| pb::SetParametersRequest {
        model: model.name.clone(),
        parameters: parameters.to_vec(),
        ..Default::default()
    };
    let status = client.set_parameters(set(&parameters)).await.unwrap_err();
    assert_eq!(bad_fields(&status), expected);
    let status = client.set_parameters(set(&[])).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["parameters"]);
    assert_unchanged(&mut client, &model).await;

    let inline = pb::InlineModel {
        spec: Some(homework()),
        parameters,
    };
    let request = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Inline(inline)),
        inputs: Some(fixture::inputs()),
        ..Default::default()
    };
    let status = client.predict(request).await.unwrap_err();
    assert_eq!(
        bad_fields(&status),
        expected.map(|at| format!("inline.{at}"))
    );
}

type Fault = (fn(&mut pb::TrainBatchRequest), &'static [&'static str]);

fn shape(request: &mut pb::TrainBatchRequest, shape: &[i32]) {
    request.inputs.as_mut().expect("train sends inputs").shape = shape.to_vec();
}

fn inputs(request: &mut pb::TrainBatchRequest) -> &mut pb::Tensor {
    request.inputs.as_mut().expect("train sends inputs")
}

/// Each makes one good TrainBatch request bad.
const BATCH_FAULTS: &[Fault] = &[
    (|r| r.model.clear(), &["model"]),
    (|r| r.model = "sessions/a/models/B".into(), &["model"]),
    (|r| r.inputs = None, &["inputs"]),
    (
        |r| r.inputs = Some(pb::Tensor::default()),
        &["inputs.shape", "inputs"],
    ),
    (|r| shape(r, &[]), &["inputs.shape"]),
    (|r| shape(r, &[8]), &["inputs.shape"]),
    (|r| shape(r, &[2, 4, 1]), &["inputs.shape"]),
    (|r| shape(r, &[1; 10_000]), &["inputs.shape"]),
    (|r| shape(r, &[-2, 4]), &["inputs.shape"]),
    (|r| shape(r, &[0, 4]), &["inputs.shape"]),
    (|r| shape(r, &[i32::MIN, i32::MIN]), &["inputs.shape"]),
    (|r| shape(r, &[i32::MAX, i32::MAX]), &["inputs.values"]),
    (|r| shape(r, &[3, 4]), &["inputs.values"]),
    (|r| inputs(r).raw = vec![0; 64].into(), &["inputs"]),
    (|r| inputs(r).values.clear(), &["inputs"]),
    (|r| inputs(r).dtype = 99, &["inputs.dtype"]),
    (|r| inputs(r).values[3] = f64::NAN, &["inputs"]),
    (|r| inputs(r).values[0] = f64::NEG_INFINITY, &["inputs"]),
    (
        |r| {
            inputs(r).values.clear();
            inputs(r).raw = vec![0; 63].into();
        },
        &["inputs.raw"],
    ),
    (
        |r| {
            // FLOAT32 bytes that claim to be FLOAT64.
            inputs(r).values.clear();
            inputs(r).raw = vec![0; 32].into();
            inputs(r).dtype = pb::Dtype::Float64.into();
        },
        &["inputs.raw"],
    ),
    (
        |r| {
            shape(r, &[i32::MAX, i32::MAX]);
            inputs(r).values.clear();
            inputs(r).raw = vec![0; 64].into();
        },
        &["inputs.raw"],
    ),
    (|r| r.inputs = Some(tensor([2, 5], &[1.0; 10])), &["inputs"]),
    (
        |r| r.targets = Some(tensor([2, 2], &[1.0; 4])),
        &["targets"],
    ),
    (
        |r| r.targets = Some(tensor([3, 1], &[1.0; 3])),
        &["targets"],
    ),
    (
        |r| r.targets = Some(tensor([2, 1], &[1.0, f64::NAN])),
        &["targets"],
    ),
    (|r| r.targets = None, &["targets"]),
    (|r| r.labels = vec![0, 0], &["labels"]),
    (
        |r| {
            // A loss without classes.
            r.targets = None;
            r.labels = vec![0, 0];
        },
        &["labels"],
    ),
    (|r| r.epochs = 1, &["epochs"]),
    (|r| r.steps = -1, &["steps"]),
    (
        |r| {
            r.steps = 0;
            r.epochs = -1;
        },
        &["epochs"],
    ),
    (|r| r.steps = i32::MAX, &["steps"]),
    (
        |r| {
            r.steps = 0;
            r.epochs = i32::MAX;
            r.minibatch_size = 1;
        },
        &["epochs"],
    ),
    (|r| r.minibatch_size = -1, &["minibatch_size"]),
    (|r| r.metrics_every = -1, &["metrics_every"]),
    (|r| r.learning_rate = Some(-1.0), &["learning_rate"]),
    (|r| r.learning_rate = Some(f64::NAN), &["learning_rate"]),
    (|r| r.durability = 99, &["durability"]),
    (|r| r.on_disconnect = 99, &["on_disconnect"]),
    (|r| r.request_id = "é".repeat(65), &["request_id"]),
    (
        |r| {
            r.inputs = None;
            r.targets = None;
            r.steps = -1;
            r.minibatch_size = -1;
            r.durability = 99;
        },
        &["inputs", "targets", "steps", "minibatch_size", "durability"],
    ),
];

#[tokio::test]
async fn a_bad_batch_is_refused_at_its_field_and_trains_nothing() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    for (index, (spoil, expected)) in BATCH_FAULTS.iter().enumerate() {
        let mut request = train(&model, 1);
        spoil(&mut request);
        let status = client.train_batch(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), *expected, "case {index}: {status:?}");
    }
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn labels_are_one_for_each_row_and_in_range() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut spec = homework();
    spec.layers[2].units = 3;
    spec.loss = pb::Loss::CrossEntropy.into();
    let model = create(&mut client, spec, 1).await;
    let cases: [(&[i32], &str); 5] = [
        (&[0, 3], "labels[1]"),
        (&[-1, 0], "labels[0]"),
        (&[0, i32::MIN], "labels[1]"),
        (&[0], "labels"),
        (&[0, 1, 2], "labels"),
    ];
    for (labels, expected) in cases {
        let request = pb::TrainBatchRequest {
            targets: None,
            labels: labels.to_vec(),
            ..train(&model, 1)
        };
        let status = client.train_batch(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), [expected], "{labels:?}");
    }
    let request = pb::TrainBatchRequest {
        targets: Some(tensor([2, 3], &[0.5, 0.5, 0.5, 1.0, 0.0, 0.0])),
        ..train(&model, 1)
    };
    let status = client.train_batch(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["targets"], "no distribution");
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn reads_name_their_bad_fields_too() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let gradients = pb::GradientsRequest {
        inputs: Some(fixture::inputs()),
        include: vec![1, 99],
        encoding: 99,
        max_reply_bytes: -1,
        ..Default::default()
    };
    let status = client.gradients(gradients).await.unwrap_err();
    let expected = [
        "model",
        "targets",
        "include[1]",
        "encoding",
        "max_reply_bytes",
    ];
    assert_eq!(bad_fields(&status), expected);

    let named = pb::predict_request::Target::Model(model.name.clone());
    let predict = pb::PredictRequest {
        target: Some(named),
        inputs: Some(fixture::inputs()),
        probabilities: true,
        classes: true,
        ..Default::default()
    };
    let status = client.predict(predict).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["probabilities", "classes"]);

    let check = pb::CheckGradientsRequest {
        target: Some(pb::check_gradients_request::Target::Model(model.name)),
        inputs: Some(fixture::inputs()),
        targets: Some(fixture::targets()),
        step_size: Some(f64::NAN),
        tolerance: Some(0.0),
        max_entries_per_tensor: -1,
        ..Default::default()
    };
    let status = client.check_gradients(check).await.unwrap_err();
    assert_eq!(
        bad_fields(&status),
        ["step_size", "tolerance", "max_entries_per_tensor"]
    );
}
