//! A pass in blocks has the bits of the same pass in one go, however small the blocks are, and its blocks are small
//! enough.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use backpropd_engine::nn::{
    Activation, Backward, Batch, Decay, Dtype, ForwardBuffers, InputGradient, Loss, Matrix,
    Minibatches, Mlp, Objective, Optimizer, Pauses, Reduction, Scalar, Schedule, WeightsDigest,
    initialize, initialize_in_blocks,
};
use backpropd_training::training::{Advance, Model, Plan, Run, RunData, Spec, StepMetrics};
use faer::Par;

use crate::cases::network;

/// Pauses that yield each time.
struct Blocks {
    flops: usize,
    par: Par,
    pauses: AtomicUsize,
}

impl Blocks {
    fn new(flops: usize, par: Par) -> Self {
        Self {
            flops,
            par,
            pauses: AtomicUsize::new(0),
        }
    }

    /// The result of `work`, and the number of turns it took.
    fn drive<V>(&self, work: impl Future<Output = V>) -> (V, usize) {
        let mut work = pin!(work);
        let mut turns = 1;
        loop {
            match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(value) => return (value, turns),
                Poll::Pending => turns += 1,
            }
        }
    }
}

impl Pauses for Blocks {
    fn par(&self) -> Par {
        self.par
    }

    fn block(&self) -> usize {
        self.flops
    }

    async fn pause(&self) {
        self.pauses.fetch_add(1, Ordering::Relaxed);
        let over = AtomicBool::new(false);
        std::future::poll_fn(|_| {
            if over.swap(true, Ordering::Relaxed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

fn numbers<T: Scalar>(count: usize, seed: usize) -> Vec<T> {
    let number = |i: usize| ((i + seed).wrapping_mul(2_654_435_761) % 2001) as f64 / 1000.0 - 1.0;
    (0..count).map(|i| T::from_f64(number(i))).collect()
}

fn bits<T: Scalar>(numbers: &[T]) -> Vec<u64> {
    numbers.iter().map(|n| n.to_f64().to_bits()).collect()
}

/// Sizes of layers, and rows: one sample, a few, many; one output, long rows, layers in plain loops.
const SHAPES: [(&[usize], usize); 12] = [
    (&[1000, 257, 33], 1),
    (&[96, 2000, 160, 100], 1),
    (&[513, 64, 700], 1),
    (&[300, 500, 7], 1),
    (&[300, 500, 7], 2),
    (&[70, 90, 33], 17),
    (&[64, 128, 1], 301),
    (&[3, 2, 5, 1], 1000),
    (&[1, 40, 1], 517),
    (&[200, 1, 200], 130),
    (&[130, 257, 100], 259),
    (&[1030, 64, 10], 129),
];

const BLOCKS: [(usize, Par); 4] = [
    (1, Par::Seq),
    (100_000, Par::Seq),
    (3_000_000, Par::Seq),
    (200_000, Par::Rayon(std::num::NonZeroUsize::new(2).unwrap())),
];

fn passes_agree<T: Scalar>() {
    let objective = Objective {
        loss: Loss::MeanSquaredError,
        reduction: Reduction::Mean,
    };
    for (sizes, rows) in SHAPES {
        let architecture = network(sizes, Activation::Tanh);
        let parameters = initialize::<T>(&architecture, 3);
        let mlp = Mlp::new(&architecture, &parameters);
        let inputs = numbers::<T>(rows * sizes[0], 5);
        let targets = numbers::<T>(rows * sizes[sizes.len() - 1], 9);
        let targets = backpropd_engine::nn::TargetsRef::Values(&targets);
        let mut buffers = ForwardBuffers::new(&architecture, rows);
        let mut whole = Backward::new(&architecture, rows, InputGradient::Compute);
        let trace = mlp.forward(&inputs, rows, &mut buffers, Par::Seq);
        let loss = trace.backward(objective, targets, &mut whole, Par::Seq);
        for (flops, par) in BLOCKS {
            let what = format!("{sizes:?}, {rows} rows, blocks of {flops}, {par:?}");
            let blocks = Blocks::new(flops, par);
            let mut buffers = ForwardBuffers::new(&architecture, rows);
            let mut cut = Backward::new(&architecture, rows, InputGradient::Compute);
            let pass = async {
                let trace = mlp
                    .forward_in_blocks(&inputs, rows, &mut buffers, &blocks)
                    .await;
                let loss = trace
                    .backward_in_blocks(objective, targets, &mut cut, &blocks)
                    .await;
                (loss, trace)
            };
            let ((loss_in_blocks, trace_in_blocks), _) = blocks.drive(pass);
            for i in 1..=architecture.depth() {
                let (z, h) = (trace_in_blocks.z(i), trace_in_blocks.h(i));
                assert_eq!(bits(z), bits(trace.z(i)), "z{i}: {what}");
                assert_eq!(bits(h), bits(trace.h(i)), "h{i}: {what}");
                let entries = trace.entries(i);
                let [a, b] = [&cut, &whole].map(|backward| bits(backward.dz(i, entries)));
                assert_eq!(a, b, "dz{i}: {what}");
            }
            assert_eq!(loss_in_blocks.to_bits(), loss.to_bits(), "loss: {what}");
            let [a, b] = [&cut, &whole].map(|backward| bits(backward.dh(0, rows * sizes[0])));
            assert_eq!(a, b, "dx: {what}");
            let [a, b] = [&cut, &whole].map(|backward| bits(backward.parameters()));
            assert_eq!(a, b, "dW, db: {what}");
        }
    }
}

#[test]
fn a_pass_in_blocks_has_the_bits_of_one_in_one_go() {
    passes_agree::<f64>();
    passes_agree::<f32>();
}

#[test]
fn initial_parameters_and_digests_do_not_depend_on_pauses() {
    let architecture = network(&[700, 500, 3], Activation::Relu);
    let whole = initialize::<f32>(&architecture, 11);
    let blocks = Blocks::new(1, Par::Seq);
    let work = async {
        let cut = initialize_in_blocks::<f32>(&architecture, 11, &blocks).await;
        let digest = WeightsDigest::new_in_blocks(&architecture, &cut, &blocks).await;
        (cut, digest)
    };
    let ((cut, digest), turns) = blocks.drive(work);
    assert_eq!(bits(&cut), bits(&whole));
    assert_eq!(digest, WeightsDigest::new(&architecture, &whole));
    assert!(turns > 4, "{turns}");
}

#[test]
fn a_large_pass_pauses_about_as_often_as_its_work_asks() {
    let architecture = network(&[2048, 2048, 2048], Activation::Relu);
    let parameters = vec![0.0_f32; architecture.parameter_count()];
    let mlp = Mlp::new(&architecture, &parameters);
    let (rows, block) = (64, 1 << 24);
    let inputs = vec![0.0; rows * 2048];
    let mut buffers = ForwardBuffers::new(&architecture, rows);
    let blocks = Blocks::new(block, Par::Seq);
    let forward = mlp.forward_in_blocks(&inputs, rows, &mut buffers, &blocks);
    let (_, turns) = blocks.drive(forward);
    let least = architecture.forward_flops(rows) as usize / (2 * block);
    assert!(turns > least, "{turns} turns, {least} at least");
}

fn plan(clip_norm: f64) -> (Arc<Model<f64>>, Plan<f64>) {
    let spec = Spec {
        architecture: network(&[100, 130, 50], Activation::Silu),
        objective: Objective {
            loss: Loss::HalfSquaredError,
            reduction: Reduction::Mean,
        },
        optimizer: Optimizer::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        },
        learning_rate: 0.01,
        schedule: Schedule {
            warmup_steps: 0,
            decay: Decay::Constant,
        },
        clip_norm,
        dtype: Dtype::Float64,
    };
    let matrix = |columns: usize, seed: usize| Matrix {
        rows: 200,
        columns,
        entries: numbers::<f64>(200 * columns, seed),
    };
    let batch = Batch::new(
        &spec.architecture,
        spec.objective,
        matrix(100, 1),
        Some(matrix(50, 2)),
        &[],
        200,
    );
    let parameters = initialize(&spec.architecture, 4);
    let plan = Plan {
        data: RunData::Batch(Arc::new(batch.expect("it fits"))),
        minibatches: Minibatches::new(200, 150, Some(3)),
        steps: 5,
        learning_rate: None,
        request: None,
    };
    (Arc::new(Model::new(spec, parameters, 0)), plan)
}

#[test]
fn steps_in_blocks_are_the_steps_in_one_go_and_one_that_is_dropped_was_never_begun() {
    for clip_norm in [0.0, 0.1] {
        let (model, whole) = plan(clip_norm);
        let mut metrics: Vec<StepMetrics> = Vec::new();
        let advance = Run::new(model, whole, 0, Par::Seq).advance(|step| {
            metrics.push(*step);
            std::ops::ControlFlow::Continue(())
        });
        let Advance::Finished(summary) = advance else {
            panic!("{advance:?}");
        };
        let (model, cut) = plan(clip_norm);
        let mut run = Run::new(Arc::clone(&model), cut, 0, Par::Seq);
        let blocks = Blocks::new(50_000, Par::Seq);
        let mut metrics_in_blocks = Vec::new();
        let advance = loop {
            let before = Arc::clone(run.current());
            {
                // Dropped in the middle: nothing has changed.
                let mut left = pin!(run.advance_in_blocks(&blocks));
                for _ in 0..5 {
                    let polled = left.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert!(polled.is_pending());
                }
            }
            assert!(Arc::ptr_eq(&before, &model.committed()));
            let ((step, advance), turns) = blocks.drive(run.advance_in_blocks(&blocks));
            assert!(turns > 5, "{turns}");
            metrics_in_blocks.extend(step);
            if advance != Advance::Paused {
                break advance;
            }
        };
        assert_eq!(advance, Advance::Finished(summary));
        assert_eq!(metrics_in_blocks, metrics);
    }
}
