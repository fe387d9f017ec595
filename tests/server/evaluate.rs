//! Evaluate: the loss and accuracy of Gradients, what only it returns, and requests that make no sense.

use backpropd::rpc::pb;
use tonic::Code;

use crate::fixture::{
    Server, Training, assert_unchanged, bad_fields, create, create_homework, fact,
    homework_parameters, inputs, layer, numbers, targets, tensor,
};

fn ask(model: &pb::Model) -> pb::EvaluateRequest {
    pb::EvaluateRequest {
        target: Some(pb::evaluate_request::Target::Model(model.name.clone())),
        inputs: Some(inputs()),
        targets: Some(targets()),
        ..Default::default()
    }
}

async fn gradients(client: &mut Training, request: &pb::EvaluateRequest) -> pb::GradientsResponse {
    let Some(pb::evaluate_request::Target::Model(name)) = request.target.clone() else {
        panic!("a model by name");
    };
    let request = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(name)),
        inputs: request.inputs.clone(),
        targets: request.targets.clone(),
        labels: request.labels.clone(),
        include: vec![pb::Quantity::LossPerSample.into()],
        ..Default::default()
    };
    client.gradients(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_regression_has_a_loss_and_an_r_squared() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::EvaluateRequest {
        per_sample_loss: true,
        ..ask(&model)
    };
    let expected = gradients(&mut client, &request).await;
    let reply = client.evaluate(request).await.unwrap().into_inner();
    assert_eq!(reply.loss().to_bits(), expected.loss.to_bits());
    let losses = reply.per_sample_loss.clone().expect("it was requested");
    assert_eq!(
        (losses.shape.clone(), losses.dtype()),
        (vec![2], pb::Dtype::Float64)
    );
    assert_eq!(Some(losses), expected.tensors[0].tensor);
    // f = (−0.758, −1.04), y = (1, −0.5), ȳ = 0.25.
    let r2 = 1.0 - (1.758_f64.powi(2) + 0.54_f64.powi(2)) / (2.0 * 0.75_f64.powi(2));
    assert_eq!(reply.r2_per_output.len(), 1);
    assert!((reply.r2() - r2).abs() < 1e-14, "{}", reply.r2());
    assert_eq!(
        (reply.accuracy, reply.confusion_matrix.clone()),
        (None, None)
    );
    assert_eq!(
        (reply.rows, reply.step, reply.reduction()),
        (2, 0, pb::Reduction::Mean)
    );
    assert_eq!(reply.weights_digest, model.weights_digest);
    assert!(reply.timings.is_some());
    assert_unchanged(&mut client, &model).await;

    let inline = pb::InlineModel {
        spec: model.spec.clone(),
        parameters: homework_parameters(),
    };
    let request = pb::EvaluateRequest {
        target: Some(pb::evaluate_request::Target::Inline(inline)),
        ..ask(&model)
    };
    let inline = client.evaluate(request).await.unwrap().into_inner();
    assert_eq!((inline.loss, inline.r2), (reply.loss, reply.r2));
    assert_eq!(inline.per_sample_loss, None);
}

/// The second batch takes a forward pass in blocks; its rows come in more than one block of the evaluator, too.
#[tokio::test]
async fn classes_are_counted_however_many_blocks_the_rows_take() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let spec = pb::ModelSpec {
        input_size: 50,
        layers: vec![
            layer(1000, pb::Activation::Relu, true),
            layer(3, pb::Activation::Linear, true),
        ],
        loss: pb::Loss::CrossEntropy.into(),
        compute: pb::Dtype::Float32.into(),
        ..Default::default()
    };
    let model = create(&mut client, spec, 1).await;
    for rows in [20, 3000] {
        let request = pb::EvaluateRequest {
            inputs: Some(tensor([rows, 50], &numbers(rows as usize * 50, 1))),
            targets: None,
            labels: (0..rows).map(|row| row % 3).collect(),
            confusion_matrix: true,
            per_sample_loss: true,
            encoding: pb::TensorEncoding::Raw.into(),
            ..ask(&model)
        };
        let expected = gradients(&mut client, &request).await;
        let reply = client.evaluate(request).await.unwrap().into_inner();
        assert_eq!(reply.loss().to_bits(), expected.loss.to_bits());
        assert_eq!(reply.accuracy, expected.accuracy);
        assert_eq!(reply.rows, i64::from(rows));
        let losses = reply.per_sample_loss.clone().expect("it was requested");
        assert_eq!(
            (losses.raw.len(), losses.values.len()),
            (rows as usize * 8, 0)
        );
        let confusion = reply.confusion_matrix.clone().expect("it was requested");
        assert_eq!((confusion.classes, confusion.counts.len()), (3, 9));
        let of_class = |class: usize| {
            confusion.counts[3 * class..3 * class + 3]
                .iter()
                .sum::<i64>()
        };
        let labels = (0..rows).map(|row| (row % 3) as usize);
        for class in 0..3 {
            let count = labels.clone().filter(|&label| label == class).count();
            assert_eq!(of_class(class), count as i64);
        }
        let right: i64 = [0, 4, 8].iter().map(|&at| confusion.counts[at]).sum();
        assert_eq!(reply.accuracy, Some(right as f64 / f64::from(rows)));
        assert!(reply.r2.is_none() && reply.r2_per_output.is_empty());
    }
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let server = Server::with(|config| config.max_confusion_classes = 2).await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::EvaluateRequest {
        target: None,
        labels: vec![1],
        encoding: 99,
        max_reply_bytes: -1,
        ..ask(&model)
    };
    let status = client.evaluate(request).await.unwrap_err();
    assert_eq!(
        bad_fields(&status),
        ["model", "labels", "encoding", "max_reply_bytes"]
    );
    // What the model does not have, with what does not fit it.
    let request = pb::EvaluateRequest {
        inputs: Some(tensor([2, 3], &[0.5; 6])),
        targets: Some(tensor([2, 1], &[f64::NAN, 0.0])),
        confusion_matrix: true,
        ..ask(&model)
    };
    let status = client.evaluate(request).await.unwrap_err();
    assert_eq!(
        bad_fields(&status),
        ["confusion_matrix", "inputs", "targets"]
    );

    let spec = pb::ModelSpec {
        input_size: 4,
        layers: vec![layer(3, pb::Activation::Linear, false)],
        loss: pb::Loss::CrossEntropy.into(),
        ..Default::default()
    };
    let classes = create(&mut client, spec, 1).await;
    let request = |labels: &[i32]| pb::EvaluateRequest {
        targets: None,
        labels: labels.to_vec(),
        confusion_matrix: true,
        ..ask(&classes)
    };
    let status = client.evaluate(request(&[0, 3])).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["confusion_matrix", "labels[1]"]);
    assert!(
        status.message().contains("max_confusion_classes"),
        "{status}"
    );

    let missing = pb::Model {
        name: "sessions/none/models/none".into(),
        ..Default::default()
    };
    let status = client.evaluate(ask(&missing)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);

    let long = pb::EvaluateRequest {
        inputs: Some(tensor([200, 4], &numbers(800, 1))),
        targets: Some(tensor([200, 1], &numbers(200, 2))),
        per_sample_loss: true,
        max_reply_bytes: 1024,
        ..ask(&model)
    };
    let status = client.evaluate(long).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(fact(&status, "limit"), "1024");
}
