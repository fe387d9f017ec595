//! Against PyTorch in float64 (numbers from `tests/goldens/make.py`).

use std::sync::Arc;

use backpropd_engine::nn::jacobian::Node;
use backpropd_engine::nn::{Backward, ForwardBuffers, InputGradient, Minibatches, Mlp};
use backpropd_training::training::{Advance, Model, Plan, Run, RunData};
use faer::Par;
use serde_json::Value;

use crate::cases::{self, Case, numbers};

/// Two correct float64 programs differ by the order of their sums.
const TOLERANCE: f64 = 1e-12;

/// Asserts that `actual` is `expected`, relative to the largest expected entry.
fn assert_close(actual: &[f64], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of entries");
    let scale = expected
        .iter()
        .fold(f64::MIN_POSITIVE, |top, e| top.max(e.abs()));
    for (index, (a, e)) in actual.iter().zip(expected).enumerate() {
        let error = (a - e).abs() / scale;
        assert!(
            error <= TOLERANCE,
            "{what}[{index}]: {a} instead of {e}, off by {error:e}"
        );
    }
}

#[test]
fn every_quantity_of_every_network_is_pytorchs() {
    let cases = cases::read("networks.json");
    assert!(cases.len() >= 50);
    for case in cases {
        let architecture = &case.spec.architecture;
        let view = case.batch.view();
        let mut forward = ForwardBuffers::new(architecture, view.rows);
        let mut backward = Backward::new(architecture, view.rows, InputGradient::Compute);
        let mlp = Mlp::new(architecture, &case.parameters);
        let trace = mlp.forward(view.inputs, view.rows, &mut forward, Par::Seq);
        let loss = trace.backward(case.spec.objective, view.targets, &mut backward, Par::Seq);

        let expected = |quantity: &str| numbers(&case.expected[quantity]);
        let of_layer = |quantity: &str, i: usize| numbers(&case.expected[quantity][i - 1]);
        let what = |quantity: &str| format!("{} {quantity}", case.name);
        let loss_expected = case.expected["loss"].as_f64().expect("a number");
        assert_close(&[loss], &[loss_expected], &what("loss"));
        assert_close(
            backward.loss_per_sample(view.rows),
            &expected("loss_per_sample"),
            &what("losses"),
        );
        assert_close(trace.outputs(), &expected("outputs"), &what("outputs"));
        assert_close(
            backward.dh(0, trace.entries(0)),
            &expected("dx"),
            &what("dx"),
        );
        let depth = architecture.depth();
        assert_close(
            backward.dz(depth, trace.entries(depth)),
            &expected("delta"),
            &what("delta"),
        );
        for (index, layer) in architecture.layers().iter().enumerate() {
            let i = index + 1;
            let what = |quantity: &str| format!("{} {quantity}{i}", case.name);
            assert_close(trace.z(i), &of_layer("z", i), &what("z"));
            assert_close(trace.h(i), &of_layer("h", i), &what("h"));
            assert_close(
                backward.dz(i, trace.entries(i)),
                &of_layer("dz", i),
                &what("dz"),
            );
            assert_close(
                backward.dh(i, trace.entries(i)),
                &of_layer("dh", i),
                &what("dh"),
            );
            let gradients = backward.parameters();
            assert_close(
                &gradients[layer.weights.clone()],
                &of_layer("dw", i),
                &what("dW"),
            );
            assert_close(
                &gradients[layer.bias.clone()],
                &of_layer("db", i),
                &what("db"),
            );
        }
    }
}

#[test]
fn ten_steps_of_every_optimizer_and_schedule_are_pytorchs() {
    for case in cases::read("optimizers.json") {
        let Case {
            name,
            spec,
            parameters,
            batch,
            expected,
        } = case;
        let model = Arc::new(Model::new(spec, parameters, 0));
        let plan = Plan {
            minibatches: Minibatches::new(batch.rows(), batch.rows(), None),
            data: RunData::Batch(Arc::new(batch)),
            steps: 10,
            learning_rate: None,
            request: None,
        };
        let expected = expected.as_array().expect("a list of steps");
        let mut taken = 0;
        let mut run = Run::new(Arc::clone(&model), plan, 0, Par::Seq);
        let advance = run.advance(|metrics| {
            let expected = &expected[taken];
            taken += 1;
            let number = |field: &str| expected[field].as_f64().expect("a number");
            let what = format!("{name}, step {taken}");
            assert_close(&[metrics.loss], &[number("loss")], &format!("{what}: loss"));
            assert_close(
                &[metrics.gradient_norm],
                &[number("gradient_norm")],
                &format!("{what}: norm"),
            );
            assert_close(
                &[metrics.learning_rate],
                &[number("learning_rate")],
                &format!("{what}: rate"),
            );
            let parameters = &model.committed().state.parameters;
            assert_close(parameters, &numbers(&expected["parameters"]), &what);
            std::ops::ControlFlow::Continue(())
        });
        assert!(matches!(advance, Advance::Finished(_)), "{name}");
        assert_eq!(taken, 10, "{name}");
    }
}

#[test]
fn the_derivative_of_any_quantity_by_any_other_is_pytorchs() {
    let mut compared = 0;
    for case in cases::read("jacobians.json") {
        let view = case.batch.view();
        let mut forward = ForwardBuffers::new(&case.spec.architecture, view.rows);
        let mlp = Mlp::new(&case.spec.architecture, &case.parameters);
        let trace = mlp.forward(view.inputs, view.rows, &mut forward, Par::Seq);
        for matrix in case.expected["jacobians"]
            .as_array()
            .expect("a list of Jacobians")
        {
            let (of, by) = (node(&matrix["of"]), node(&matrix["by"]));
            let jacobian = trace.jacobian(of, by, case.spec.objective, view.targets, Par::Seq);
            let expected: Vec<f64> = numbers(&matrix["jacobian"]);
            let what = format!("{}: ∂{of:?}/∂{by:?}", case.name);
            assert_close(&jacobian.entries, &expected, &what);
            compared += 1;
        }
    }
    assert!(compared >= 100, "{compared} Jacobians");
}

/// "loss", "x", or a letter and a layer.
fn node(name: &Value) -> Node {
    let name = name.as_str().expect("a name");
    let layer = || name[1..].parse().expect("a layer");
    match name.as_bytes() {
        b"loss" => Node::Loss,
        b"x" => Node::Inputs,
        [b'W', ..] => Node::Weights(layer()),
        [b'b', ..] => Node::Bias(layer()),
        [b'z', ..] => Node::PreActivation(layer()),
        [b'h', ..] => Node::Activation(layer()),
        _ => panic!("unknown quantity {name}"),
    }
}
