//! Explain: the bits of Gradients, the terms that they consist of, and requests that make no sense.

use backpropd::rpc::pb;
use pb::{Expansion, Quantity};
use tonic::Code;

use crate::fixture::{
    Server, Training, assert_unchanged, bad_fields, create, create_homework, homework,
    homework_parameters, inputs, layer, numbers, targets, tensor,
};

fn ask(model: &pb::Model, quantity: Quantity, place: [i32; 3]) -> pb::ExplainRequest {
    let [layer, row, column] = place;
    pb::ExplainRequest {
        target: Some(pb::explain_request::Target::Model(model.name.clone())),
        inputs: Some(inputs()),
        targets: Some(targets()),
        quantity: quantity.into(),
        layer,
        row,
        column,
        ..Default::default()
    }
}

/// Every entry of the quantities that are computed, as Gradients returns them for this batch.
async fn gradients(
    client: &mut Training,
    request: &pb::ExplainRequest,
) -> Vec<(Quantity, i32, pb::Tensor)> {
    let target = match request.target.clone().expect("a target") {
        pb::explain_request::Target::Model(name) => pb::gradients_request::Target::Model(name),
        pb::explain_request::Target::Inline(inline) => {
            pb::gradients_request::Target::Inline(Box::new(inline))
        }
    };
    let request = pb::GradientsRequest {
        target: Some(target),
        inputs: request.inputs.clone(),
        targets: request.targets.clone(),
        labels: request.labels.clone(),
        encoding: pb::TensorEncoding::Values.into(),
        max_reply_bytes: 64 << 20,
        ..Default::default()
    };
    let reply = client.gradients(request).await.unwrap().into_inner();
    let named = reply.tensors.into_iter();
    named
        .map(|named| {
            (
                named.quantity(),
                named.layer,
                named.tensor.expect("a tensor"),
            )
        })
        .collect()
}

#[tokio::test]
async fn every_entry_has_the_bits_of_gradients_for_a_stored_model_and_an_inline_one() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let inline = pb::InlineModel {
        spec: Some(pb::ModelSpec {
            compute: pb::Dtype::Float32.into(),
            ..homework()
        }),
        parameters: homework_parameters(),
    };
    let inline = pb::explain_request::Target::Inline(inline);
    for target in [
        pb::explain_request::Target::Model(model.name.clone()),
        inline,
    ] {
        let request = pb::ExplainRequest {
            target: Some(target),
            ..ask(&model, Quantity::Z, [1, 1, 1])
        };
        let mut explained = 0;
        for (quantity, layer, tensor) in gradients(&mut client, &request).await {
            let given = [
                Quantity::X,
                Quantity::Y,
                Quantity::W,
                Quantity::B,
                Quantity::LossPerSample,
            ];
            if given.contains(&quantity) {
                continue;
            }
            let columns = tensor.shape[1];
            for (at, value) in (0..).zip(&tensor.values) {
                let request = pb::ExplainRequest {
                    quantity: quantity.into(),
                    layer,
                    row: at / columns + 1,
                    column: at % columns + 1,
                    ..request.clone()
                };
                let reply = client.explain(request).await.unwrap().into_inner();
                let equation = &reply.equations[0];
                assert_eq!(
                    equation.value().to_bits(),
                    value.to_bits(),
                    "{}",
                    equation.text
                );
                assert_eq!((reply.step, reply.batch_size), (0, 2));
                explained += 1;
            }
        }
        // z, h, dz, dh of six units and δ, dx for two samples, and twenty weights.
        assert_eq!(explained, 4 * 12 + 2 + 8 + 20);
    }
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn an_entry_reads_as_the_homework_writes_it() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::ExplainRequest {
        expand: Expansion::Chain.into(),
        ..ask(&model, Quantity::DW, [2, 1, 2])
    };
    let reply = client.explain(request).await.unwrap().into_inner();
    let equation = &reply.equations[0];
    assert_eq!(
        equation.text,
        "dW²₁₂ = δ₁·W³₁₁·1[z²₁₁ ≥ 0]·h¹₁₂ + δ₂·W³₁₁·1[z²₂₁ ≥ 0]·h¹₂₂ = −2.426"
    );
    let mask = &equation.terms[1].factors[2];
    assert_eq!((mask.kind(), mask.value()), (pb::FactorKind::Mask, 0.0));
    let z = mask.entry.expect("a mask is of some z");
    assert_eq!(
        (z.quantity(), z.layer, z.row, z.column),
        (Quantity::Z, 2, 2, 1)
    );

    let request = pb::ExplainRequest {
        expand: Expansion::Leaves.into(),
        max_terms: 1,
        ..ask(&model, Quantity::DW, [2, 1, 2])
    };
    let reply = client.explain(request).await.unwrap().into_inner();
    let first = &reply.equations[0];
    assert_eq!((first.terms.len(), first.folded_terms), (1, 1));
    assert_eq!(first.folded_value, 0.0);
    let [dz, h] = [0, 1].map(|at| first.terms[0].factors[at].equation);
    let text = |number: i32| &reply.equations[number as usize - 1].text[..];
    assert_eq!(text(dz), "dz²₁₁ = dh²₁₁·1[z²₁₁ ≥ 0] = −0.5274");
    assert_eq!(text(h), "h¹₁₂ = max(0, z¹₁₂) = 4.6");
}

#[tokio::test]
async fn a_pass_in_blocks_is_explained_with_the_same_bits() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let spec = pb::ModelSpec {
        input_size: 300,
        layers: vec![
            layer(600, pb::Activation::Tanh, true),
            layer(5, pb::Activation::Linear, true),
        ],
        loss: pb::Loss::CrossEntropy.into(),
        compute: pb::Dtype::Float32.into(),
        ..Default::default()
    };
    let model = create(&mut client, spec, 1).await;
    let request = pb::ExplainRequest {
        inputs: Some(tensor([400, 300], &numbers(400 * 300, 1))),
        targets: None,
        labels: (0..400).map(|row| row % 5).collect(),
        ..ask(&model, Quantity::DW, [1, 7, 299])
    };
    let expected = gradients(&mut client, &request).await;
    let own = |tensor: &&(Quantity, i32, pb::Tensor)| (tensor.0, tensor.1) == (Quantity::DW, 1);
    let value = expected.iter().find(own).expect("dW¹").2.values[6 * 300 + 298];
    let reply = client.explain(request).await.unwrap().into_inner();
    let equation = &reply.equations[0];
    assert_eq!(equation.value().to_bits(), value.to_bits());
    assert_eq!((equation.terms.len(), equation.folded_terms), (32, 368));
    // The engine adds up 400 samples in panels, so the bits of a plain sum may be others, but no more than the last ones.
    let off = (equation.sum_of_terms() - value).abs();
    assert!(off < 1e-5 * value.abs().max(1e-3), "{off}");
}

#[tokio::test]
async fn every_bad_field_is_named_at_once_and_nothing_is_explained_of_a_model_that_is_not_there() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let request = pb::ExplainRequest {
        target: None,
        labels: vec![1],
        quantity: 99,
        expand: 99,
        max_terms: -1,
        ..ask(&model, Quantity::Z, [1, 1, 1])
    };
    let status = client.explain(request).await.unwrap_err();
    assert_eq!(
        bad_fields(&status),
        ["model", "labels", "quantity", "expand", "max_terms"]
    );
    // What does not fit the network, together with what does not fit the loss.
    let request = pb::ExplainRequest {
        targets: Some(tensor([2, 2], &[1.0; 4])),
        ..ask(&model, Quantity::DW, [2, 3, -1])
    };
    let status = client.explain(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["row", "column", "targets"]);
    assert!(status.message().contains("dW2 is [2, 3]"), "{status}");
    let cases: [(Quantity, [i32; 3], &[&str]); 6] = [
        (Quantity::X, [0, 1, 1], &["quantity"]),
        (Quantity::LossPerSample, [0, 1, 1], &["quantity"]),
        (Quantity::DB, [1, 1, 0], &["layer"]),
        (Quantity::Z, [0, 3, 1], &["layer"]),
        (Quantity::Delta, [0, 3, 2], &["row", "column"]),
        (
            Quantity::DW,
            [i32::MAX, i32::MIN, i32::MAX],
            &["layer", "row"],
        ),
    ];
    for (quantity, place, fields) in cases {
        let status = client
            .explain(ask(&model, quantity, place))
            .await
            .unwrap_err();
        assert_eq!(bad_fields(&status), fields, "{quantity:?}");
    }
    let much = pb::ExplainRequest {
        max_terms: 100_000,
        ..ask(&model, Quantity::Z, [1, 1, 1])
    };
    let status = client.explain(much).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["max_terms"]);

    let missing = pb::Model {
        name: "sessions/none/models/none".into(),
        ..Default::default()
    };
    let request = ask(&missing, Quantity::Z, [1, 1, 1]);
    let status = client.explain(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}
