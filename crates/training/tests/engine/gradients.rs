//! The backward pass equals central differences, on random networks.

use backpropd_engine::nn::finite_difference::{Check, CheckOptions, GradientTensor};
use backpropd_engine::nn::jacobian::Node;
use backpropd_engine::nn::pauses::{Unpaused, without_pauses};
use backpropd_engine::nn::{
    Activation, Architecture, Batch, ForwardBuffers, LayerSpec, Loss, Matrix, Mlp, Objective,
    Reduction, ReluAtZero, initialize,
};
use faer::Par;
use proptest::prelude::*;

use crate::cases::{LIMITS, network};
use crate::random::{batch, layer, objective};

/// Truncation of order h² and rounding of order 10⁻¹⁶/h, at h = 10⁻⁵, on losses of order 1.
const TOLERANCE: f64 = 1e-6;

const OPTIONS: CheckOptions = CheckOptions {
    step_size: 1e-5,
    max_entries_per_tensor: usize::MAX,
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn backward_is_the_central_difference_of_the_loss(
        input_size in 1_i64..=6,
        layers in prop::collection::vec(layer(), 1..=4),
        at_zero in prop_oneof![Just(ReluAtZero::One), Just(ReluAtZero::Zero)],
        objective in objective(),
        rows in 1_usize..=6,
        seed in any::<i64>(),
    ) {
        let architecture = Architecture::new(input_size, &layers, at_zero, &LIMITS).expect("in range");
        let parameters = initialize(&architecture, seed);
        let batch = batch(&architecture, objective, rows, seed);
        let pauses = Unpaused(Par::Seq);
        let check = Check::new(&architecture, parameters, objective, batch, OPTIONS, &pauses);
        let mut check = without_pauses(check);
        let mut compared = 0;
        while without_pauses(check.advance(&pauses)) {
            compared += 1;
        }
        prop_assert!(compared >= architecture.parameter_count());
        let (reports, _, _) = check.into_report();
        for report in reports {
            if let Some(worst) = report.worst {
                prop_assert!(worst.relative_error <= TOLERANCE, "{worst:?}");
            }
        }
    }

    #[test]
    fn a_vector_jacobian_product_is_the_central_difference_of_its_quantity(
        layers in prop::collection::vec(layer(), 2..=3),
        rows in 1_usize..=3,
        seed in any::<i64>(),
    ) {
        let smooth: Vec<LayerSpec> = layers
            .into_iter()
            .map(|layer| LayerSpec {
                activation: if layer.activation.has_kink() { Activation::Tanh } else { layer.activation },
                ..layer
            })
            .collect();
        let architecture = Architecture::new(3, &smooth, ReluAtZero::One, &LIMITS).expect("in range");
        let parameters: Vec<f64> = initialize(&architecture, seed);
        let objective = Objective { loss: Loss::HalfSquaredError, reduction: Reduction::Mean };
        let batch = batch(&architecture, objective, rows, seed);
        let outputs = |parameters: &[f64]| {
            let mut buffers = ForwardBuffers::new(&architecture, rows);
            let mlp = Mlp::new(&architecture, parameters);
            mlp.forward(batch.view().inputs, rows, &mut buffers, Par::Seq).outputs().to_vec()
        };
        let mut buffers = ForwardBuffers::new(&architecture, rows);
        let mlp = Mlp::new(&architecture, &parameters);
        let trace = mlp.forward(batch.view().inputs, rows, &mut buffers, Par::Seq);
        let of = Node::Activation(architecture.depth());
        let jacobian = trace.jacobian(of, Node::Weights(1), objective, batch.view().targets, Par::Seq);
        let h = 1e-6;
        for column in 0..jacobian.columns {
            let mut moved = parameters.clone();
            moved[column] = parameters[column] + h;
            let above = outputs(&moved);
            moved[column] = parameters[column] - h;
            let below = outputs(&moved);
            for row in 0..jacobian.rows {
                let numeric = (above[row] - below[row]) / (2.0 * h);
                let analytic = jacobian.entries[row * jacobian.columns + column];
                prop_assert!((numeric - analytic).abs() <= 1e-7, "{analytic} against {numeric}");
            }
        }
    }
}

#[test]
fn an_entry_that_crosses_a_kink_is_named_and_not_judged() {
    // One unit with z = 0 exactly: w = 0, so every move of w or x crosses the kink or stays on it.
    let architecture = network(&[1, 1, 1], Activation::Relu);
    let parameters = vec![0.0, 0.0, 1.0, 0.0];
    let objective = Objective {
        loss: Loss::HalfSquaredError,
        reduction: Reduction::Mean,
    };
    let one = |value: f64| Matrix {
        rows: 1,
        columns: 1,
        entries: vec![value],
    };
    let batch =
        Batch::new(&architecture, objective, one(1.0), Some(one(2.0)), &[], 10).expect("it fits");
    let pauses = Unpaused(Par::Seq);
    let check = Check::new(
        &architecture,
        parameters,
        objective,
        batch,
        OPTIONS,
        &pauses,
    );
    let mut check = without_pauses(check);
    while without_pauses(check.advance(&pauses)) {}
    let (reports, kinks, skipped) = check.into_report();
    assert_eq!(skipped, 2, "w and b of the first layer");
    assert_eq!(kinks.len(), 2);
    let kink = kinks[0];
    assert_eq!((kink.tensor, kink.index), (GradientTensor::Weights(1), 0));
    assert_eq!((kink.layer, kink.sample, kink.unit, kink.z), (1, 0, 0, 0.0));
    for report in reports {
        assert!(
            report
                .worst
                .is_none_or(|worst| worst.relative_error < TOLERANCE)
        );
    }
}
