//! CheckGradients: what it compares, and what it leaves out because it says nothing.

use backpropd::rpc::pb;
use pb::{Activation, Quantity};

use crate::fixture::{Server, assert_unchanged, create, homework, inputs, layer, targets, tensor};

#[tokio::test]
async fn backward_agrees_with_central_differences_on_a_smooth_network() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut spec = homework();
    for (layer, activation) in spec
        .layers
        .iter_mut()
        .zip([Activation::Tanh, Activation::Gelu])
    {
        layer.activation = activation.into();
        layer.bias = true;
    }
    let model = create(&mut client, spec, 1).await;
    let request = pb::CheckGradientsRequest {
        target: Some(pb::check_gradients_request::Target::Model(
            model.name.clone(),
        )),
        inputs: Some(inputs()),
        targets: Some(targets()),
        ..Default::default()
    };
    let check = client.check_gradients(request).await.unwrap().into_inner();
    assert!(check.passed, "{:?}", check.worst);
    assert_eq!((check.skipped, check.kinks.len()), (0, 0));
    let counts: Vec<i32> = check.tensors.iter().map(|tensor| tensor.checked).collect();
    assert_eq!(counts, [12, 3, 6, 2, 2, 8], "dW¹ db¹ dW² db² dW³ dx");
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn a_unit_at_exactly_zero_is_named_as_a_kink() {
    let server = Server::start().await;
    let mut client = server.training().await;
    // z¹ = (1 − 1, 1 + 2): the first unit sits on its kink.
    let layers = vec![
        layer(2, Activation::Relu, false),
        layer(1, Activation::Linear, false),
    ];
    let weights = [
        tensor([2, 2], &[1.0, -1.0, 1.0, 2.0]),
        tensor([1, 2], &[1.0, 1.0]),
    ];
    let inline = pb::InlineModel {
        spec: Some(pb::ModelSpec {
            input_size: 2,
            layers,
            ..Default::default()
        }),
        parameters: weights
            .map(|weights| pb::LayerParameters {
                weights: Some(weights),
                bias: None,
            })
            .to_vec(),
    };
    let request = pb::CheckGradientsRequest {
        target: Some(pb::check_gradients_request::Target::Inline(inline)),
        inputs: Some(tensor([1, 2], &[1.0, 1.0])),
        targets: Some(tensor([1, 1], &[0.0])),
        ..Default::default()
    };
    let check = client.check_gradients(request).await.unwrap().into_inner();
    // Its two weights and both features move it; the other unit's weights and W² do not.
    assert_eq!(check.skipped, 4);
    for kink in &check.kinks {
        assert_eq!(
            (kink.unit_layer, kink.sample, kink.unit, kink.z),
            (1, 1, 1, 0.0)
        );
    }
    let moved: Vec<_> = check
        .kinks
        .iter()
        .map(|kink| (kink.quantity(), kink.index.clone()))
        .collect();
    let expected = [
        (Quantity::DW, vec![1, 1]),
        (Quantity::DW, vec![1, 2]),
        (Quantity::DX, vec![1, 1]),
        (Quantity::DX, vec![1, 2]),
    ];
    assert_eq!(moved, expected);
    assert!(check.passed, "the others agree");
}
