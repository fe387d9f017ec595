//! The guarantees of a run: whole steps, none lost, none repeated, nothing allocated.

use std::ops::ControlFlow;
use std::sync::Arc;

use backpropd_engine::nn::{
    Activation, Batch, Decay, Dtype, Loss, Matrix, Minibatches, Objective, Optimizer, Reduction,
    Schedule, initialize,
};
use backpropd_training::training::{
    Advance, Begin, Model, Outcome, Plan, RequestId, Run, RunData, Spec,
};
use faer::Par;

use crate::cases::network;

fn spec(learning_rate: f64) -> Spec {
    Spec {
        architecture: network(&[4, 3, 2, 1], Activation::Relu),
        objective: Objective {
            loss: Loss::HalfSquaredError,
            reduction: Reduction::Mean,
        },
        optimizer: Optimizer::Sgd {
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        },
        learning_rate,
        schedule: Schedule {
            warmup_steps: 0,
            decay: Decay::Constant,
        },
        clip_norm: 0.0,
        dtype: Dtype::Float64,
    }
}

fn plan(spec: &Spec, steps: u64, request: Option<RequestId>) -> Plan<f64> {
    let entries = (0..20).map(|i| f64::from(i % 7) - 3.0).collect();
    let inputs = Matrix {
        rows: 5,
        columns: 4,
        entries,
    };
    let targets = Matrix {
        rows: 5,
        columns: 1,
        entries: vec![1.0, -1.0, 0.5, 2.0, 0.0],
    };
    let batch = Batch::new(
        &spec.architecture,
        spec.objective,
        inputs,
        Some(targets),
        &[],
        10,
    )
    .expect("it fits");
    Plan {
        data: RunData::Batch(Arc::new(batch)),
        minibatches: Minibatches::new(5, 2, Some(1)),
        steps,
        learning_rate: None,
        request,
    }
}

fn model(learning_rate: f64) -> Arc<Model<f64>> {
    let spec = spec(learning_rate);
    let parameters = initialize(&spec.architecture, 3);
    Arc::new(Model::new(spec, parameters, 8))
}

fn request() -> RequestId {
    RequestId {
        id: "once".into(),
        fingerprint: [1; 32],
    }
}

#[test]
fn a_step_allocates_nothing_after_the_first() {
    let model = model(0.01);
    let mut run = Run::new(
        Arc::clone(&model),
        plan(model.spec(), 1000, None),
        0,
        Par::Seq,
    );
    // The first epoch grows the shuffled order and the mini-batch's buffers, the first steps the spare state.
    let mut steps = 0;
    run.advance(|_| {
        steps += 1;
        if steps == 6 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let counted = allocation_counter::measure(|| {
        run.advance(|_| {
            steps += 1;
            if steps == 900 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    });
    assert_eq!(steps, 900);
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_reader_keeps_the_step_it_saw_while_training_goes_on() {
    let model = model(0.01);
    let mut run = Run::new(
        Arc::clone(&model),
        plan(model.spec(), 50, None),
        0,
        Par::Seq,
    );
    let mut seen = Vec::new();
    run.advance(|_| {
        let committed = model.committed();
        let copy = committed.state.parameters.clone();
        seen.push((committed, copy));
        ControlFlow::Continue(())
    });
    assert_eq!(seen.len(), 50);
    for (index, (committed, copy)) in seen.iter().enumerate() {
        assert_eq!(committed.step, index as u64 + 1);
        assert_eq!(&committed.state.parameters, copy, "step {}", index + 1);
    }
}

#[test]
fn weights_that_would_not_be_finite_are_not_committed() {
    let model = model(1e200);
    let mut run = Run::new(
        Arc::clone(&model),
        plan(model.spec(), 100, Some(request())),
        0,
        Par::Seq,
    );
    let mut last = model.committed();
    let advance = run.advance(|_| {
        last = model.committed();
        ControlFlow::Continue(())
    });
    let Advance::Diverged(divergence) = advance else {
        panic!("{advance:?}")
    };
    let after = model.committed();
    assert_eq!(after.state, last.state);
    assert_eq!(
        (after.step, divergence.step, divergence.steps_done),
        (last.step, last.step, last.step)
    );
    let state = &after.state;
    assert!(
        state
            .parameters
            .iter()
            .chain(&state.first)
            .all(|p| p.is_finite())
    );
    let again = model.begin(Some(&request()), None);
    assert!(matches!(
        again,
        Ok(Begin::Replay(Outcome::Diverged(replayed))) if replayed.step == divergence.step
    ));
}

#[test]
fn an_interrupted_request_goes_on_where_it_stopped_and_a_finished_one_is_replayed() {
    let undisturbed = model(0.01);
    Run::new(
        Arc::clone(&undisturbed),
        plan(undisturbed.spec(), 10, None),
        0,
        Par::Seq,
    )
    .advance(|_| ControlFlow::Continue(()));

    let model = model(0.01);
    assert_eq!(model.begin(Some(&request()), Some(0)), Ok(Begin::Fresh));
    let mut run = Run::new(
        Arc::clone(&model),
        plan(model.spec(), 10, Some(request())),
        0,
        Par::Seq,
    );
    let paused = run.advance(|m| {
        if m.step == 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(paused, Advance::Paused);
    drop(run);
    // The expected step has long passed, but the request itself is remembered.
    assert_eq!(
        model.begin(Some(&request()), Some(0)),
        Ok(Begin::Resume { steps_done: 4 })
    );
    let mut run = Run::new(
        Arc::clone(&model),
        plan(model.spec(), 10, Some(request())),
        4,
        Par::Seq,
    );
    let Advance::Finished(summary) = run.advance(|_| ControlFlow::Continue(())) else {
        panic!()
    };
    drop(run);
    assert_eq!((summary.steps_done, summary.step), (10, 10));
    assert_eq!(
        model.begin(Some(&request()), Some(0)),
        Ok(Begin::Replay(Outcome::Finished(summary)))
    );
    assert_eq!(model.committed().state, undisturbed.committed().state);
}

#[test]
fn a_run_in_the_buffers_of_another_one_has_the_bits_of_its_own_and_leaves_the_other_model_alone() {
    let finish = |mut run: Run<f64>| {
        run.advance(|_| ControlFlow::Continue(()));
        run.into_workspace()
    };
    let undisturbed = model(0.01);
    // An odd number, so that the last step is in the spare state.
    let steps = || plan(undisturbed.spec(), 9, None);
    finish(Run::new(Arc::clone(&undisturbed), steps(), 0, Par::Seq));

    let has_its_own_bits_in = |left| {
        let model = model(0.01);
        let run = Run::within(Some(left), Arc::clone(&model), steps(), 0, Par::Seq);
        finish(run);
        assert_eq!(model.committed().state, undisturbed.committed().state);
    };

    // Numbers that are not finite are left in its buffers.
    let diverged = model(1e300);
    // The states that it leaves are of other sizes.
    let adam = {
        let optimizer = Optimizer::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        };
        let spec = Spec {
            optimizer,
            ..spec(0.01)
        };
        let parameters = initialize(&spec.architecture, 7);
        Arc::new(Model::new(spec, parameters, 10))
    };
    for earlier in [model(0.02), diverged, adam] {
        let spec = earlier.spec().clone();
        let run = Run::new(Arc::clone(&earlier), plan(&spec, 10, None), 0, Par::Seq);
        let left = finish(run);
        let before = earlier.committed().state.clone();
        assert!(left.fits(undisturbed.spec(), 2));
        has_its_own_bits_in(left);
        assert_eq!(earlier.committed().state, before);
    }

    let other_rows = Plan {
        minibatches: Minibatches::new(5, 5, None),
        ..steps()
    };
    let left = finish(Run::new(model(0.01), other_rows, 0, Par::Seq));
    assert!(!left.fits(undisturbed.spec(), 2));
    has_its_own_bits_in(left);
}

#[test]
fn a_request_interrupted_before_its_first_step_is_held_to_the_step_it_expects() {
    let model = model(0.01);
    let never_begun = plan(model.spec(), 10, Some(request()));
    drop(Run::new(Arc::clone(&model), never_begun, 0, Par::Seq));
    Run::new(Arc::clone(&model), plan(model.spec(), 1, None), 0, Par::Seq)
        .advance(|_| ControlFlow::Continue(()));
    let begun = model.begin(Some(&request()), Some(0));
    assert!(matches!(
        begun,
        Err(backpropd_training::training::BeginError::StepMismatch { actual: 1, .. })
    ));
}

#[test]
fn every_sample_is_taken_once_an_epoch_in_an_order_that_the_seed_decides() {
    let order = |seed: Option<i64>, epoch: u64| {
        let rows: Vec<f64> = (0..10).map(f64::from).collect();
        let view = backpropd_engine::nn::BatchRef {
            inputs: &rows[..],
            targets: backpropd_engine::nn::TargetsRef::Values(&rows[..]),
            rows: 10,
        };
        let mut buffers = backpropd_engine::nn::MinibatchBuffers::new();
        let mut minibatches = Minibatches::new(10, 4, seed);
        assert_eq!(minibatches.steps_per_epoch(), 3);
        let mut taken = Vec::new();
        for step in 0..3 {
            let part = minibatches.take(epoch * 3 + step, view, &mut buffers);
            assert_eq!(part.rows, if step == 2 { 2 } else { 4 });
            taken.extend_from_slice(part.inputs);
        }
        taken
    };
    let given: Vec<f64> = (0..10).map(f64::from).collect();
    assert_eq!(order(None, 0), given);
    let (first, second) = (order(Some(1), 0), order(Some(1), 1));
    assert_eq!(first, order(Some(1), 0));
    assert_ne!(first, second);
    assert_ne!(first, order(Some(2), 0));
    for taken in [first, second] {
        let mut sorted = taken.clone();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(sorted, given);
        assert_ne!(taken, given);
    }
}
