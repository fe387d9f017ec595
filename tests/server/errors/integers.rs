//! Integers sent as the bytes of floating-point numbers, in every field that takes a tensor.

use backpropd::rpc::pb;
use backpropd::rpc::pb::grading_service_client::GradingServiceClient;
use tonic_types::StatusExt as _;

use crate::fixture::{Server, bad_fields, create_homework, homework, tensor};

/// What `np.array(integers).tobytes()` is in a request.
fn integers(shape: &[i32], integers: &[i64]) -> pb::Tensor {
    pb::Tensor {
        shape: shape.to_vec(),
        raw: integers
            .iter()
            .flat_map(|i| i.to_le_bytes())
            .collect::<Vec<_>>()
            .into(),
        dtype: pb::Dtype::Float64.into(),
        ..Default::default()
    }
}

fn parameters(first: pb::Tensor) -> Vec<pb::LayerParameters> {
    let layer = |weights| pb::LayerParameters {
        weights: Some(weights),
        bias: None,
    };
    vec![
        layer(first),
        layer(tensor([2, 3], &[1.0; 6])),
        layer(tensor([1, 2], &[1.0; 2])),
    ]
}

#[tokio::test]
async fn integers_as_the_bytes_of_numbers_are_refused_in_every_tensor() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await.name;
    let (x, y) = (integers(&[1, 4], &[1, -2, 3, 4]), integers(&[1, 1], &[-1]));

    let train = pb::TrainBatchRequest {
        model: model.clone(),
        inputs: Some(x.clone()),
        targets: Some(y.clone()),
        ..Default::default()
    };
    let status = client.train_batch(train).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["inputs.raw", "targets.raw"]);
    let details = status.get_error_details();
    let described = &details
        .bad_request()
        .expect("a BadRequest")
        .field_violations[0]
        .description;
    assert!(described.contains("int64 1"), "{described}");
    assert!(described.contains("np.asarray(a, \"<f8\")"), "{described}");

    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Inline(Box::new(
            pb::InlineModel {
                spec: Some(homework()),
                parameters: parameters(integers(&[3, 4], &[7; 12])),
            },
        ))),
        inputs: Some(x.clone()),
        targets: Some(tensor([1, 1], &[1.0])),
        ..Default::default()
    };
    let status = client.gradients(gradients).await.unwrap_err();
    assert_eq!(
        bad_fields(&status),
        ["inline.parameters[0].weights.raw", "inputs.raw"]
    );

    let predict = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.clone())),
        inputs: Some(x),
        ..Default::default()
    };
    let status = client.predict(predict).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["inputs.raw"]);

    let set = pb::SetParametersRequest {
        model,
        parameters: parameters(integers(&[3, 4], &[7; 12])),
        ..Default::default()
    };
    let status = client.set_parameters(set).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["parameters[0].weights.raw"]);
}

#[tokio::test]
async fn submitted_integers_are_refused_and_a_vanished_gradient_is_judged() {
    let server = Server::start().await;
    let mut client = GradingServiceClient::new(server.channel().await);
    let request = |dw1: pb::Tensor| pb::GradeGradientsRequest {
        target: Some(pb::grade_gradients_request::Target::Inline(
            pb::InlineModel {
                spec: Some(homework()),
                parameters: parameters(tensor([3, 4], &[1.0; 12])),
            },
        )),
        inputs: Some(tensor([1, 4], &[1.0, 2.0, 3.0, 4.0])),
        targets: Some(tensor([1, 1], &[1.0])),
        submitted: vec![pb::NamedTensor {
            quantity: pb::Quantity::DW.into(),
            layer: 1,
            tensor: Some(dw1),
        }],
        ..Default::default()
    };
    let status = client
        .grade_gradients(request(integers(&[3, 4], &[1; 12])))
        .await
        .unwrap_err();
    assert_eq!(bad_fields(&status), ["submitted[0].tensor.raw"]);
    let vanished = tensor([3, 4], &[3.1e-310; 12]);
    let judged = client
        .grade_gradients(request(vanished))
        .await
        .expect("it is judged");
    assert_eq!(judged.into_inner().tensors.len(), 1);
}

#[tokio::test]
async fn bytes_of_another_type_are_guessed_by_their_length() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await.name;
    for (raw, guess) in [
        (
            [1.0_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat(),
            "DTYPE_FLOAT32 for float32",
        ),
        (vec![1, 2, 3, 4], "integers of 1 byte"),
    ] {
        let request = pb::PredictRequest {
            target: Some(pb::predict_request::Target::Model(model.clone())),
            inputs: Some(pb::Tensor {
                shape: vec![1, 4],
                raw: raw.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let status = client.predict(request).await.unwrap_err();
        assert!(status.message().contains(guess), "{}", status.message());
    }
}
