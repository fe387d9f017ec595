//! Time per training step: forward, loss, backward, update and commit of one TrainBatch step, without the network.
//!
//! `cargo bench --bench engine`

use std::ops::ControlFlow;
use std::sync::Arc;

use backpropd::nn::{
    Activation, Architecture, ArchitectureLimits, Batch, Decay, Init, LayerSpec, Loss, Matrix,
    Minibatches, Objective, Optimizer, Reduction, ReluAtZero, Scalar, Schedule, initialize,
};
use backpropd::training::{Model, Plan, Run, Spec};
use faer::Par;

fn main() {
    divan::main();
}

/// A run that could go on for ever, on a batch of this many rows.
fn run<T: Scalar>(sizes: &[usize], rows: usize, par: Par) -> Run<T> {
    let last = sizes.len() - 1;
    let layers: Vec<LayerSpec> = (1..sizes.len())
        .map(|i| LayerSpec {
            units: sizes[i] as i64,
            activation: if i == last {
                Activation::Linear
            } else {
                Activation::Relu
            },
            bias: sizes.len() < 4,
            init: Init::HeNormal,
        })
        .collect();
    let limits = ArchitectureLimits {
        layers: 64,
        units: 1 << 16,
        parameters: 1 << 26,
    };
    let architecture = Architecture::new(sizes[0] as i64, &layers, ReluAtZero::One, &limits)
        .expect("sizes are in range");
    let spec = Spec {
        objective: Objective {
            loss: Loss::HalfSquaredError,
            reduction: Reduction::Mean,
        },
        optimizer: Optimizer::Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        },
        learning_rate: 1e-6,
        schedule: Schedule {
            warmup_steps: 0,
            decay: Decay::Constant,
        },
        clip_norm: 0.0,
        dtype: T::DTYPE,
        architecture,
    };
    let matrix = |columns: usize| Matrix {
        rows,
        columns,
        entries: (0..rows * columns)
            .map(|i| T::from_f64((i % 17) as f64 / 17.0 - 0.5))
            .collect(),
    };
    let batch = Batch::new(
        &spec.architecture,
        spec.objective,
        matrix(sizes[0]),
        Some(matrix(sizes[last])),
        &[],
        rows,
    )
    .expect("it fits");
    let model = Arc::new(Model::new(
        spec.clone(),
        initialize(&spec.architecture, 1),
        0,
    ));
    let plan = Plan {
        minibatches: Minibatches::new(rows, rows, None),
        batch,
        steps: u64::MAX,
        learning_rate: None,
        request: None,
    };
    Run::new(model, plan, 0, par)
}

fn step<T: Scalar>(bencher: divan::Bencher<'_, '_>, sizes: &[usize], rows: usize, par: Par) {
    let mut run = run::<T>(sizes, rows, par);
    bencher.bench_local(|| run.advance(|_| ControlFlow::Break(())));
}

#[divan::bench]
fn homework_one_sample_f64(bencher: divan::Bencher<'_, '_>) {
    step::<f64>(bencher, &[4, 3, 2, 1], 1, Par::Seq);
}

#[divan::bench]
fn digits_64_32_10_batch_32_f32(bencher: divan::Bencher<'_, '_>) {
    step::<f32>(bencher, &[64, 32, 10], 32, Par::Seq);
}

#[divan::bench]
fn mnist_784_128_10_batch_64_f32(bencher: divan::Bencher<'_, '_>) {
    step::<f32>(bencher, &[784, 128, 10], 64, Par::rayon(2));
}

#[divan::bench(sample_count = 20)]
fn wide_784_1024_1024_10_batch_256_f32(bencher: divan::Bencher<'_, '_>) {
    step::<f32>(bencher, &[784, 1024, 1024, 10], 256, Par::rayon(2));
}
