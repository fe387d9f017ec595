//! Determinism is a promise: the same bits for any number of threads, alone and in a batch, in one go and in pieces.

use std::ops::ControlFlow;
use std::sync::Arc;

use backpropd_engine::nn::{
    Activation, Batch, Decay, Dtype, ForwardBuffers, Loss, Matrix, Minibatches, Mlp, Objective,
    Optimizer, Reduction, Scalar, Schedule, WeightsDigest, initialize,
};
use backpropd_training::training::{Advance, Model, Plan, Run, RunData, Spec};
use faer::Par;

use crate::cases::network;

/// Numbers in [−1, 1) from the test's own small generator.
fn noise<T: Scalar>(count: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        T::from_f64((state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

fn spec<T: Scalar>(sizes: &[usize], clip_norm: f64) -> Spec {
    Spec {
        architecture: network(sizes, Activation::Tanh),
        objective: Objective {
            loss: Loss::MeanSquaredError,
            reduction: Reduction::Mean,
        },
        optimizer: Optimizer::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        },
        learning_rate: 0.001,
        schedule: Schedule {
            warmup_steps: 10,
            decay: Decay::Constant,
        },
        clip_norm,
        dtype: T::DTYPE,
    }
}

/// The digest after `steps` steps on shuffled mini-batches; `pauses` of them interrupt the run.
fn trained<T: Scalar>(
    sizes: &[usize],
    rows: usize,
    size: usize,
    steps: u64,
    par: Par,
    pause_every: u64,
) -> WeightsDigest {
    trained_by::<T>(
        spec::<T>(sizes, 1.0),
        sizes,
        rows,
        size,
        steps,
        par,
        pause_every,
    )
}

fn trained_by<T: Scalar>(
    spec: Spec,
    sizes: &[usize],
    rows: usize,
    size: usize,
    steps: u64,
    par: Par,
    pause_every: u64,
) -> WeightsDigest {
    let (n0, n) = (sizes[0], sizes[sizes.len() - 1]);
    let matrix = |columns: usize, seed: u64| Matrix {
        rows,
        columns,
        entries: noise::<T>(rows * columns, seed),
    };
    let batch = Batch::new(
        &spec.architecture,
        spec.objective,
        matrix(n0, 1),
        Some(matrix(n, 2)),
        &[],
        rows,
    )
    .expect("it fits");
    let model = Arc::new(Model::new(
        spec.clone(),
        initialize(&spec.architecture, 7),
        0,
    ));
    let plan = Plan {
        minibatches: Minibatches::new(rows, size, Some(3)),
        data: RunData::Batch(Arc::new(batch)),
        steps,
        learning_rate: None,
        request: None,
    };
    let mut run = Run::new(Arc::clone(&model), plan.clone(), 0, par);
    loop {
        let advance = run.advance(|metrics| {
            if metrics.step.is_multiple_of(pause_every) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        match advance {
            Advance::Finished(summary) => return summary.digest,
            end @ (Advance::Diverged(_) | Advance::NoSamples(_)) => panic!("{end:?}"),
            // Dropped and resumed, as after a disconnect; a reader holds the last step meanwhile.
            Advance::Paused => {
                let held = model.committed();
                let done = run.steps_done();
                run = Run::new(Arc::clone(&model), plan.clone(), done, par);
                assert_eq!(held.step, done);
            }
        }
    }
}

fn the_same_bits_for_any_number_of_threads<T: Scalar>() {
    let small = trained::<T>(&[4, 3, 2, 1], 8, 3, 200, Par::Seq, u64::MAX);
    assert_eq!(
        small,
        trained::<T>(&[4, 3, 2, 1], 8, 3, 200, Par::rayon(2), u64::MAX)
    );
    assert_eq!(
        small,
        trained::<T>(&[4, 3, 2, 1], 8, 3, 200, Par::Seq, 7),
        "in pieces"
    );

    // Layers that are cut by units and by rows, evenly and not; and a single output, whose products are vectors.
    // Clipping needs the whole gradient before the update; without it, the update uses the gradient piece by piece.
    for sizes in [&[300, 260, 130, 10][..], &[520, 200, 1], &[70, 601, 33, 65]] {
        for clip_norm in [1.0, 0.0] {
            let digest = |par| {
                let spec = spec::<T>(sizes, clip_norm);
                trained_by::<T>(spec, sizes, 512, 256, 4, par, u64::MAX)
            };
            let one = digest(Par::Seq);
            for threads in [2, 3, 4, 8] {
                assert_eq!(one, digest(Par::rayon(threads)), "{sizes:?} × {threads}");
            }
        }
    }
}

#[test]
fn f64_training_has_the_same_bits_for_any_number_of_threads() {
    the_same_bits_for_any_number_of_threads::<f64>();
}

#[test]
fn f32_training_has_the_same_bits_for_any_number_of_threads() {
    the_same_bits_for_any_number_of_threads::<f32>();
}

fn a_row_has_the_same_bits_alone_and_in_a_batch<T: Scalar>() {
    let shapes: [&[usize]; 12] = [
        &[4, 3, 2, 1],
        &[1, 1, 1],
        &[64, 32, 10],
        &[65, 2, 1],
        &[66, 3, 70, 2],
        &[128, 10, 10],
        &[130, 17, 129, 5],
        &[300, 5, 300, 1],
        &[513, 2, 33],
        &[784, 128, 10],
        &[1000, 4, 3],
        &[2049, 2, 1],
    ];
    for sizes in shapes {
        let architecture = network(sizes, Activation::Gelu);
        let parameters = initialize::<T>(&architecture, 5);
        let mlp = Mlp::new(&architecture, &parameters);
        let (n0, n) = (architecture.input_size(), architecture.output_size());
        let most = 70;
        let inputs = noise::<T>(most * n0, 9);
        let outputs = |from: usize, rows: usize, par: Par| {
            let mut buffers = ForwardBuffers::new(&architecture, rows);
            let inputs = &inputs[from * n0..(from + rows) * n0];
            mlp.forward(inputs, rows, &mut buffers, par)
                .outputs()
                .to_vec()
        };
        let all = outputs(0, most, Par::rayon(2));
        for rows in [1, 2, 3, 4, 7, 8, 9, 16, 31, 33, 64] {
            for from in [0, most - rows] {
                let part = outputs(from, rows, Par::Seq);
                assert!(
                    part == all[from * n..(from + rows) * n],
                    "{sizes:?}: {rows} rows from {from}"
                );
            }
        }
    }
}

#[test]
fn an_f64_row_has_the_same_bits_alone_and_in_a_batch() {
    a_row_has_the_same_bits_alone_and_in_a_batch::<f64>();
}

#[test]
fn an_f32_row_has_the_same_bits_alone_and_in_a_batch() {
    a_row_has_the_same_bits_alone_and_in_a_batch::<f32>();
}

#[test]
fn a_seed_means_the_same_weights_in_every_version() {
    // Clients may have recorded these digests: a change of the generator, of its use, or of the digest breaks them and
    // needs a new name in `init::PRNG`.
    let architecture = network(&[4, 3, 2, 1], Activation::Relu);
    let digest = WeightsDigest::new(&architecture, &initialize::<f64>(&architecture, 1));
    assert_eq!(
        digest.to_string(),
        "329b993215a1bb0c3147c9309e03f24592ed056879e8f8d4800878da20657c26"
    );
    let digest = WeightsDigest::new(&architecture, &initialize::<f32>(&architecture, 1));
    assert_eq!(
        digest.to_string(),
        "e85e0e023c97c6c5f4f044bc3886c9584dc2aa0379f94c397b8312417cbf2693"
    );
}

#[test]
fn an_f32_model_starts_where_its_f64_twin_does() {
    let architecture = network(&[10, 20, 3], Activation::Relu);
    let wide = initialize::<f64>(&architecture, 42);
    let narrow = initialize::<f32>(&architecture, 42);
    assert!(
        wide.iter()
            .zip(&narrow)
            .all(|(w, n)| f32::from_f64(*w) == *n)
    );
    assert_eq!(<f32 as Scalar>::DTYPE, Dtype::Float32);
}
