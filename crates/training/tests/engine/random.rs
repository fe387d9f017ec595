//! Networks, losses and batches at random.

use backpropd_engine::nn::{
    Activation, Architecture, Batch, Init, LayerSpec, Loss, Matrix, Objective, Reduction,
    ReluAtZero, Scalar, initialize,
};
use proptest::prelude::*;

use crate::cases::LIMITS;

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Relu),
        (0.0..0.5).prop_map(|slope| Activation::LeakyRelu { slope }),
        Just(Activation::Sigmoid),
        Just(Activation::Tanh),
        Just(Activation::Gelu),
        Just(Activation::Silu),
    ]
}

pub fn layer() -> impl Strategy<Value = LayerSpec> {
    (1_i64..=7, activation(), any::<bool>()).prop_map(|(units, activation, bias)| LayerSpec {
        units,
        activation,
        bias,
        // Biases that are not zero, and weights of order 1.
        init: Init::PytorchLinear,
    })
}

pub fn objective() -> impl Strategy<Value = Objective> {
    let loss = prop_oneof![
        Just(Loss::HalfSquaredError),
        Just(Loss::MeanSquaredError),
        Just(Loss::CrossEntropy),
        Just(Loss::BinaryCrossEntropy),
    ];
    let reduction = prop_oneof![Just(Reduction::Mean), Just(Reduction::Sum)];
    (loss, reduction).prop_map(|(loss, reduction)| Objective { loss, reduction })
}

/// Numbers in (−1, 1), the same for the same seed.
fn numbers(count: usize, seed: i64) -> Vec<f64> {
    let line = LayerSpec {
        units: count as i64,
        activation: Activation::Linear,
        bias: false,
        init: Init::PytorchLinear,
    };
    let source = Architecture::new(1, &[line], ReluAtZero::One, &LIMITS).expect("in range");
    initialize(&source, seed)
}

/// A batch that the objective accepts. For cross-entropy it has labels or, for an odd seed, probabilities.
pub fn batch<T: Scalar>(
    architecture: &Architecture,
    objective: Objective,
    rows: usize,
    seed: i64,
) -> Batch<T> {
    let n = architecture.output_size();
    let typed = |values: Vec<f64>| values.into_iter().map(T::from_f64).collect();
    let inputs = Matrix {
        rows,
        columns: architecture.input_size(),
        entries: typed(numbers(rows * architecture.input_size(), seed ^ 1)),
    };
    let raw = numbers(rows * n, seed ^ 2);
    let (targets, labels) = match objective.loss {
        // A single class has no label other than 0.
        Loss::CrossEntropy if seed % 2 == 0 && n > 1 => (
            None,
            raw.chunks(n)
                .map(|r| (r[0].abs() * 1000.0) as i32 % n as i32)
                .collect(),
        ),
        Loss::CrossEntropy => {
            let share = |row: &[f64]| {
                let total: f64 = row.iter().map(|y| y.abs()).sum();
                row.iter().map(|y| y.abs() / total).collect::<Vec<_>>()
            };
            (Some(raw.chunks(n).flat_map(share).collect()), Vec::new())
        }
        Loss::BinaryCrossEntropy => (Some(raw.iter().map(|y| y.abs()).collect()), Vec::new()),
        Loss::HalfSquaredError | Loss::MeanSquaredError => (Some(raw), Vec::new()),
    };
    let targets = targets.map(|values| Matrix {
        rows,
        columns: n,
        entries: typed(values),
    });
    Batch::new(architecture, objective, inputs, targets, &labels, 1 << 20).expect("it fits")
}
