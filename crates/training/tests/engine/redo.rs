//! A recorded run is replayed bit for bit, or refused.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backpropd_engine::nn::{
    ARITHMETIC, Activation, Batch, BatchRef, Decay, Loss, Matrix, MinibatchBuffers, Minibatches,
    Objective, Optimizer, Reduction, Samples, SamplesError, Scalar, Schedule, initialize,
};
use backpropd_training::training::redo::redo;
use backpropd_training::training::{
    Advance, Begin, Committed, DatasetReference, Datasets, Model, NoDatasets, Outcome, Plan, Redo,
    RedoError, RequestId, Revision, Run, RunData, Selection, Spec,
};
use faer::Par;

use crate::cases::network;

const ROWS: usize = 7;

/// 5-9-3 with Adam, a schedule and clipping: all that a step depends on besides its batch.
fn spec<T: Scalar>(loss: Loss) -> Spec {
    Spec {
        architecture: network(&[5, 9, 3], Activation::Tanh),
        objective: Objective {
            loss,
            reduction: Reduction::Mean,
        },
        optimizer: Optimizer::Adam {
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.01,
            decoupled: true,
        },
        learning_rate: 0.05,
        schedule: Schedule {
            warmup_steps: 4,
            decay: Decay::Cosine {
                total_steps: 50,
                final_factor: 0.1,
            },
        },
        clip_norm: 0.5,
        dtype: T::DTYPE,
    }
}

fn matrix<T: Scalar>(columns: usize, scale: f64) -> Matrix<T> {
    let entry = |i: usize| T::from_f64(((i * 37 % 19) as f64 - 9.0) * scale);
    Matrix {
        rows: ROWS,
        columns,
        entries: (0..ROWS * columns).map(entry).collect(),
    }
}

fn plan<T: Scalar>(spec: &Spec, size: usize, seed: Option<i64>, steps: u64) -> Plan<T> {
    let (targets, labels) = match spec.objective.loss {
        Loss::CrossEntropy => (None, vec![0, 2, 1, 1, 0, 2, 2]),
        Loss::HalfSquaredError | Loss::MeanSquaredError | Loss::BinaryCrossEntropy => {
            (Some(matrix(3, 0.1)), Vec::new())
        }
    };
    let (architecture, objective) = (&spec.architecture, spec.objective);
    let batch = Batch::new(
        architecture,
        objective,
        matrix(5, 0.2),
        targets,
        &labels,
        ROWS,
    );
    Plan {
        data: RunData::Batch(Arc::new(batch.expect("it fits"))),
        minibatches: Minibatches::new(ROWS, size, seed),
        steps,
        learning_rate: seed.map(|_| 0.02),
        request: Some(RequestId {
            id: "once".into(),
            fingerprint: [3; 32],
        }),
    }
}

fn model<T: Scalar>(loss: Loss) -> Arc<Model<T>> {
    let spec = spec::<T>(loss);
    let parameters = initialize(&spec.architecture, 3);
    Arc::new(Model::new(spec, parameters, 8))
}

/// A copy of the model in its current state.
fn copy<T: Scalar>(spec: &Spec, revision: Revision<T>) -> Arc<Model<T>> {
    Arc::new(Model::restored(spec.clone(), revision, 8))
}

/// Trains until the model is at this step, or to the end.
fn train<T: Scalar>(model: &Arc<Model<T>>, plan: Plan<T>, first: u64, until: u64) -> Advance {
    let mut run = Run::new(Arc::clone(model), plan, first, Par::Seq);
    run.advance(|metrics| {
        if metrics.step >= until {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
}

fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789)
}

fn same<T: Scalar>(left: &Committed<T>, right: &Committed<T>) -> bool {
    let (a, b) = (&left.state, &right.state);
    let states = a.parameters == b.parameters && a.first == b.first && a.second == b.second;
    states && a.updates == b.updates && left.step == right.step
}

/// Records a run that began after 3 steps and was stopped after `taken` more, and replays it.
fn is_done_again<T: Scalar>(loss: Loss, size: usize, seed: Option<i64>, taken: u64) {
    let model = model::<T>(loss);
    let spec = model.spec().clone();
    let plan = plan::<T>(&spec, size, seed, 20);
    train(&model, plan.clone(), 0, 3);
    let before = model.revision();
    train(&model, plan.clone(), 3, 3 + taken);
    let after = model.revision();
    let written = Redo {
        plan,
        first: 3,
        before: Arc::clone(&before.committed),
        after: after.clone(),
    };
    let bytes = written.encode(&spec, later()).expect("it is written");
    assert!(written.bytes() < bytes.len());

    let again = copy(&spec, before);
    let redone = redo(&[bytes], &again, Par::rayon(2), &NoDatasets).expect("it is done again");
    let redone = redone.expect("a run");
    assert_eq!((redone.updated, redone.other_digest), (later(), None));
    let found = again.revision();
    assert!(
        same(&found.committed, &after.committed),
        "{size} {seed:?} {taken}"
    );
    assert_eq!(found.requests, after.requests);
}

#[test]
fn whatever_a_run_was_doing_again_gives_its_bits_and_its_outcome() {
    for loss in [Loss::MeanSquaredError, Loss::CrossEntropy] {
        for (size, seed) in [(ROWS, None), (3, None), (3, Some(-5)), (ROWS, Some(1))] {
            // Interrupted, finished, and without a step.
            for taken in [5, 17, 0] {
                is_done_again::<f32>(loss, size, seed, taken);
                is_done_again::<f64>(loss, size, seed, taken);
            }
        }
    }
}

#[test]
fn a_run_that_diverged_is_done_again_up_to_there() {
    let model = model::<f32>(Loss::MeanSquaredError);
    let mut spec = model.spec().clone();
    spec.optimizer = Optimizer::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    spec.clip_norm = 0.0;
    spec.architecture = network(&[5, 9, 3], Activation::Linear);
    let model = copy(&spec, model.revision());
    let before = model.revision();
    let mut plan = plan::<f32>(&spec, ROWS, None, 10_000);
    plan.learning_rate = Some(10.0);
    let end = train(&model, plan.clone(), 0, u64::MAX);
    let Advance::Diverged(divergence) = end else {
        panic!("{end:?}");
    };
    assert!(divergence.steps_done > 0);
    let after = model.revision();
    let written = Redo {
        plan,
        first: 0,
        before: Arc::clone(&before.committed),
        after: after.clone(),
    };
    let bytes = written.encode(&spec, later()).expect("it is written");
    let again = copy(&spec, before);
    redo(&[bytes], &again, Par::Seq, &NoDatasets).expect("it is done again");
    assert!(same(&again.committed(), &after.committed));
    let (_, outcome) = again.revision().requests.pop().expect("remembered");
    // Its gradient was NaN, which equals nothing.
    assert!(matches!(outcome, Outcome::Diverged(told) if told.step == divergence.step));
}

/// A model before a run, the run, and its bytes.
fn written() -> (Arc<Model<f64>>, Revision<f64>, Vec<u8>) {
    let model = model::<f64>(Loss::CrossEntropy);
    let before = model.revision();
    let plan = plan::<f64>(model.spec(), 3, Some(2), 4);
    train(&model, plan.clone(), 0, u64::MAX);
    let written = Redo {
        plan,
        first: 0,
        before: Arc::clone(&before.committed),
        after: model.revision(),
    };
    let bytes = written.encode(model.spec(), later());
    (model, before, bytes.expect("it is written"))
}

#[test]
fn runs_are_done_again_one_after_the_other_or_not_at_all() {
    let model = model::<f32>(Loss::CrossEntropy);
    let spec = model.spec().clone();
    let first = model.revision();
    let mut runs = Vec::new();
    for (size, seed, steps) in [(3, Some(2), 4), (ROWS, None, 2), (3, Some(9), 5)] {
        let plan = Plan {
            request: None,
            ..plan::<f32>(&spec, size, seed, steps)
        };
        let before = model.committed();
        train(&model, plan.clone(), 0, u64::MAX);
        let after = model.revision();
        let redo = Redo {
            plan,
            first: 0,
            before,
            after,
        };
        runs.push(redo.encode(&spec, later()).expect("it is written"));
    }
    let again = copy(&spec, first.clone());
    let redone = redo(&runs, &again, Par::Seq, &NoDatasets)
        .expect("done again")
        .expect("runs");
    assert_eq!(redone.other_digest, None);
    assert!(same(&again.committed(), &model.committed()));

    runs.remove(1);
    let gap = redo(&runs, &copy(&spec, first), Par::Seq, &NoDatasets);
    assert_eq!(gap, Err(RedoError::OtherModel { began: 6, found: 4 }));
}

/// Rows that a test holds in place of a file.
#[derive(Debug)]
struct Stored<T> {
    batch: Arc<Batch<T>>,
    /// The first row that cannot be read.
    readable: usize,
}

impl<T: Scalar> Samples<T> for Stored<T> {
    fn rows(&self) -> usize {
        ROWS
    }

    fn whole(&self) -> Option<BatchRef<'_, T>> {
        None
    }

    fn fetch(&self, rows: &[usize], into: &mut MinibatchBuffers<T>) -> Result<(), SamplesError> {
        match rows.iter().find(|row| **row >= self.readable) {
            Some(row) => Err(SamplesError(format!("row {row} is gone"))),
            None => self.batch.fetch(rows, into),
        }
    }
}

/// The one dataset of a test.
struct OneDataset(Arc<Batch<f32>>);

impl Datasets for OneDataset {
    fn find<T: Scalar>(
        &self,
        reference: &DatasetReference,
        _: &Spec,
    ) -> Result<Arc<dyn Samples<T>>, String> {
        assert_eq!(reference.digest, "abc");
        let batch: Box<dyn Any> = Box::new(Arc::clone(&self.0));
        let batch = *batch.downcast::<Arc<Batch<T>>>().expect("the same type");
        Ok(Arc::new(Stored {
            batch,
            readable: ROWS,
        }))
    }
}

fn from_dataset(plan: Plan<f32>, readable: usize) -> (Plan<f32>, Arc<Batch<f32>>) {
    let RunData::Batch(batch) = &plan.data else {
        unreachable!("the plans of these tests hold a batch")
    };
    let (batch, reference) = (
        Arc::clone(batch),
        DatasetReference {
            dataset: "sessions/lab/datasets/seven".to_owned(),
            digest: "abc".to_owned(),
            selection: Selection::All,
            standardize: false,
        },
    );
    let samples = Arc::new(Stored {
        batch: Arc::clone(&batch),
        readable,
    });
    let data = RunData::Dataset {
        samples,
        reference: Arc::new(reference),
    };
    (Plan { data, ..plan }, batch)
}

#[test]
fn a_run_on_a_dataset_has_the_bits_of_its_rows_and_its_record_names_them() {
    for (size, seed) in [(3, Some(2)), (3, None), (ROWS, None), (ROWS, Some(1))] {
        let (sent, named) = (
            model::<f32>(Loss::CrossEntropy),
            model::<f32>(Loss::CrossEntropy),
        );
        let spec = sent.spec().clone();
        let plan = plan::<f32>(&spec, size, seed, 7);
        train(&sent, plan.clone(), 0, u64::MAX);

        let (plan, batch) = from_dataset(plan, ROWS);
        let before = named.revision();
        train(&named, plan.clone(), 0, u64::MAX);
        assert!(
            same(&sent.committed(), &named.committed()),
            "{size} {seed:?}"
        );

        let redo_of = Redo {
            plan,
            first: 0,
            before: Arc::clone(&before.committed),
            after: named.revision(),
        };
        assert_eq!(redo_of.bytes(), 0);
        let record = redo_of.encode(&spec, later()).expect("it is written");
        let again = copy(&spec, before.clone());
        let redone = redo(
            std::slice::from_ref(&record),
            &again,
            Par::Seq,
            &OneDataset(batch),
        );
        assert_eq!(
            redone.expect("done again").expect("a run").other_digest,
            None
        );
        assert!(same(&again.committed(), &named.committed()));

        let gone = redo(&[record], &copy(&spec, before), Par::Seq, &NoDatasets);
        let told = "sessions/lab/datasets/seven does not exist".to_owned();
        assert_eq!(gone, Err(RedoError::NoSamples(told)));
    }
}

#[test]
fn a_run_whose_samples_cannot_be_read_keeps_the_steps_before_and_goes_on_later() {
    let (undisturbed, model) = (
        model::<f32>(Loss::CrossEntropy),
        model::<f32>(Loss::CrossEntropy),
    );
    let plan = plan::<f32>(model.spec(), 2, None, 4);
    train(&undisturbed, plan.clone(), 0, u64::MAX);
    let (disturbed, _) = from_dataset(plan.clone(), 5);
    let mut run = Run::new(Arc::clone(&model), disturbed, 0, Par::Seq);
    let advance = run.advance(|_| ControlFlow::Continue(()));
    let told = SamplesError("row 5 is gone".to_owned());
    assert_eq!(advance, Advance::NoSamples(told));
    assert_eq!(run.steps_done(), 2);
    drop(run);
    let begin = model.begin(plan.request.as_ref(), None);
    assert_eq!(begin, Ok(Begin::Resume { steps_done: 2 }));
    train(&model, plan, 2, u64::MAX);
    assert!(same(&undisturbed.committed(), &model.committed()));
}

#[test]
fn a_run_of_another_model_is_not_done_at_all() {
    let (model, before, bytes) = written();
    let runs = [bytes];
    let other_step = redo(&runs, &model, Par::Seq, &NoDatasets);
    let refused = RedoError::OtherModel { began: 0, found: 4 };
    assert_eq!(other_step, Err(refused));

    let other_weights = copy(model.spec(), before.clone());
    let mut weights = before.committed.state.parameters.clone();
    weights[0] += 1.0;
    other_weights.set_parameters(weights);
    let untouched = other_weights.committed();
    let refused = RedoError::OtherModel { began: 0, found: 0 };
    assert_eq!(
        redo(&runs, &other_weights, Par::Seq, &NoDatasets),
        Err(refused)
    );
    assert!(Arc::ptr_eq(&other_weights.committed(), &untouched));
}

/// The same bytes with something else in place of `what`, which they hold.
fn with(bytes: &[u8], what: &str, other: &str) -> Vec<u8> {
    assert_eq!(what.len(), other.len());
    let at = bytes
        .windows(what.len())
        .position(|bytes| bytes == what.as_bytes());
    let at = at.expect("it is there");
    let mut bytes = bytes.to_vec();
    bytes[at..at + other.len()].copy_from_slice(other.as_bytes());
    bytes
}

#[test]
fn weights_that_come_out_otherwise_are_kept_and_told() {
    let (model, before, bytes) = written();
    let then = model.committed().digest(model.spec()).to_string();
    let elsewhere = format!("{}{}", &then[1..], &then[..1]);
    let runs = [with(&bytes, &then, &elsewhere)];
    let again = copy(model.spec(), before);
    let redone = redo(&runs, &again, Par::Seq, &NoDatasets)
        .expect("it is done")
        .expect("a run");
    assert_eq!(
        redone.other_digest.map(|digest| digest.to_string()),
        Some(elsewhere)
    );
    assert!(same(&again.committed(), &model.committed()));
}

#[test]
fn a_run_of_another_arithmetic_is_told_and_one_from_before_it_was_noted_is_of_the_first() {
    let (model, before, bytes) = written();
    let other = |runs: &[Vec<u8>]| {
        let again = copy(model.spec(), before.clone());
        let redone = redo(runs, &again, Par::Seq, &NoDatasets)
            .expect("it is done")
            .expect("a run");
        redone.other_arithmetic
    };
    let noted = format!(r#"\"arithmetic\":{ARITHMETIC}"#);
    assert_eq!(other(std::slice::from_ref(&bytes)), None);
    assert_eq!(
        other(&[with(&bytes, &noted, r#"\"arithmetic\":9"#)]),
        Some(9)
    );
    assert_eq!(other(&[with(&bytes, "arithmetic", "arithmatic")]), Some(1));
}

#[test]
fn a_run_that_diverges_where_it_did_not_is_told() {
    let (model, before, bytes) = written();
    let other_weights = copy(model.spec(), before.clone());
    other_weights.set_parameters(vec![f64::MAX; model.committed().state.parameters.len()]);
    let own = before.committed.digest(model.spec()).to_string();
    let other = other_weights.committed().digest(model.spec()).to_string();
    let told = redo(
        &[with(&bytes, &own, &other)],
        &other_weights,
        Par::Seq,
        &NoDatasets,
    );
    assert_eq!(told, Err(RedoError::Diverges(0)));
}

#[test]
fn bytes_that_are_no_run_are_refused_and_end_nothing() {
    let (model, before, bytes) = written();
    for length in 0..bytes.len() {
        let cut = [bytes[..length].to_vec()];
        let refused = redo(
            &cut,
            &copy(model.spec(), before.clone()),
            Par::Seq,
            &NoDatasets,
        );
        assert!(refused.is_err(), "{length}");
    }
    let newer = [with(&bytes, r#"\"version\":1"#, r#"\"version\":7"#)];
    let refused = redo(&newer, &copy(model.spec(), before), Par::Seq, &NoDatasets);
    assert_eq!(refused, Err(RedoError::Version(7)));
}
