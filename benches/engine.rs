//! Time per training step: forward, loss, backward, update and commit of one TrainBatch step, without the network.
//!
//! `cargo bench --bench engine`

#![allow(missing_docs, reason = "a benchmark")]

#[allow(dead_code)] // Shared with the other benchmarks, which need more of it.
mod workload;

use std::ops::ControlFlow;

use backpropd::nn::Scalar;
use faer::Par;
use workload::Work;

fn main() {
    divan::main();
}

fn step<T: Scalar>(bencher: divan::Bencher<'_, '_>, sizes: &[usize], rows: usize, par: Par) {
    let work = Work {
        sizes: sizes.to_vec(),
        rows,
        bias: sizes.len() < 4,
        adam: false,
        learning_rate: 1e-6,
    };
    let mut run = work.run::<T>(par);
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
