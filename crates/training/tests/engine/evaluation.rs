//! An evaluation has the loss and the accuracy of a backward pass, however its rows are cut into blocks, and an R² and a
//! confusion matrix that follow from their definitions.

use backpropd_engine::nn::{
    Architecture, Backward, Batch, BatchRef, Dtype, Evaluated, Evaluation, EvaluationParts,
    ForwardBuffers, InputGradient, Loss, Matrix, Mlp, Objective, Reduction, ReluAtZero, Scalar,
    TargetsRef, initialize,
};
use faer::Par;
use proptest::prelude::*;

use crate::cases::LIMITS;
use crate::random::{batch, layer, objective};

const ALL: EvaluationParts = EvaluationParts {
    confusion_matrix: true,
    per_sample_loss: true,
};

/// The evaluation of a batch whose rows come in blocks of these sizes, one after the other and again from the first.
fn evaluated<T: Scalar>(
    mlp: Mlp<'_, T>,
    objective: Objective,
    batch: BatchRef<'_, T>,
    blocks: &[usize],
) -> Evaluated {
    let n = mlp.architecture().output_size();
    let mut evaluation = Evaluation::new(objective, n, ALL);
    let mut buffers = ForwardBuffers::new(mlp.architecture(), batch.rows);
    let (mut from, mut blocks) = (0, blocks.iter().cycle());
    while from < batch.rows {
        let to = (from + blocks.next().expect("a size")).min(batch.rows);
        let block = batch.slice(from, to);
        let trace = mlp.forward(block.inputs, block.rows, &mut buffers, Par::Seq);
        evaluation.add(trace.outputs(), block.targets);
        from = to;
    }
    evaluation.finish()
}

fn agrees_with_backward<T: Scalar>(
    architecture: &Architecture,
    objective: Objective,
    batch: &Batch<T>,
    parameters: &[f64],
    blocks: &[usize],
) -> Result<(), TestCaseError> {
    let parameters: Vec<T> = parameters.iter().map(|&w| T::from_f64(w)).collect();
    let mlp = Mlp::new(architecture, &parameters);
    let view = batch.view();
    let mut buffers = ForwardBuffers::new(architecture, view.rows);
    let mut backward = Backward::new(architecture, view.rows, InputGradient::Skip);
    let trace = mlp.forward(view.inputs, view.rows, &mut buffers, Par::Seq);
    let loss = trace.backward(objective, view.targets, &mut backward, Par::Seq);
    let whole = evaluated(mlp, objective, view, &[view.rows]);
    prop_assert_eq!(whole.loss.to_bits(), loss.to_bits());
    prop_assert_eq!(whole.rows, view.rows);
    prop_assert_eq!(
        whole.per_sample_loss.as_deref(),
        Some(backward.loss_per_sample(view.rows))
    );
    prop_assert_eq!(
        whole.accuracy,
        objective.accuracy(trace.outputs(), view.targets, view.rows)
    );
    if let Some(confusion) = &whole.confusion_matrix {
        let right: u64 = (0..confusion.rows)
            .map(|class| confusion.entries[class * confusion.columns + class])
            .sum();
        prop_assert_eq!(confusion.entries.iter().sum::<u64>(), view.rows as u64);
        prop_assert_eq!(Some(right as f64 / view.rows as f64), whole.accuracy);
    }
    prop_assert_eq!(evaluated(mlp, objective, view, blocks), whole);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn an_evaluation_in_any_blocks_has_the_numbers_of_a_backward_pass(
        input_size in 1_i64..=6,
        layers in prop::collection::vec(layer(), 1..=3),
        objective in objective(),
        dtype in prop_oneof![Just(Dtype::Float32), Just(Dtype::Float64)],
        rows in 1_usize..=40,
        blocks in prop::collection::vec(1_usize..=17, 1..=4),
        seed in any::<i64>(),
    ) {
        let architecture = Architecture::new(input_size, &layers, ReluAtZero::One, &LIMITS).expect("in range");
        let parameters: Vec<f64> = initialize(&architecture, seed);
        match dtype {
            Dtype::Float32 => agrees_with_backward::<f32>(
                &architecture, objective, &batch(&architecture, objective, rows, seed), &parameters, &blocks,
            )?,
            Dtype::Float64 => agrees_with_backward::<f64>(
                &architecture, objective, &batch(&architecture, objective, rows, seed), &parameters, &blocks,
            )?,
        }
    }
}

fn of_outputs(loss: Loss, n: usize, f: &[f64], targets: TargetsRef<'_, f64>) -> Evaluated {
    let objective = Objective {
        loss,
        reduction: Reduction::Mean,
    };
    let mut evaluation = Evaluation::new(objective, n, ALL);
    evaluation.add(f, targets);
    evaluation.finish()
}

#[test]
fn r_squared_is_that_of_scikit_learn() {
    // sklearn.metrics.r2_score(y, f, multioutput="raw_values"), and its mean.
    let f = [2.5, 1.0, 0.0, 2.0, 2.0, 3.0, 8.0, 4.5];
    let y = [3.0, 1.0, -0.5, 2.0, 2.0, 3.0, 7.0, 4.0];
    let shown = of_outputs(Loss::HalfSquaredError, 2, &f, TargetsRef::Values(&y));
    let r2 = shown.determination.expect("a regression");
    let expected = [0.948_608_137_044_967_9, 0.95];
    for (r2, expected) in r2.outputs.iter().zip(expected) {
        assert!((r2 - expected).abs() < 1e-15, "{r2} instead of {expected}");
    }
    assert!((r2.overall - 0.949_304_068_522_484).abs() < 1e-15);
    assert_eq!((shown.accuracy, shown.confusion_matrix), (None, None));

    // Targets with a mean of 10⁹ times their spread.
    let y: Vec<f64> = (0..4).map(|k| 1e9 + f64::from(k)).collect();
    let f: Vec<f64> = y.iter().map(|y| y + 0.5).collect();
    let far = of_outputs(Loss::MeanSquaredError, 1, &f, TargetsRef::Values(&y));
    assert_eq!(far.determination.expect("a regression").overall, 0.8);

    let same = |f: &[f64]| of_outputs(Loss::HalfSquaredError, 1, f, TargetsRef::Values(&[2.0; 2]));
    let r2 = |f: &[f64]| same(f).determination.expect("a regression").overall;
    assert_eq!((r2(&[2.0, 2.0]), r2(&[2.0, 2.5])), (1.0, 0.0));
}

#[test]
fn a_confusion_matrix_has_the_truth_in_its_rows() {
    let f = [0.0, 5.0, 1.0, 9.0, 5.0, 1.0, 0.0, 0.0, 1.0, 0.0, 7.0, 1.0];
    let counts = |matrix: Option<Matrix<u64>>| matrix.expect("it has classes").entries;
    let shown = of_outputs(Loss::CrossEntropy, 3, &f, TargetsRef::Labels(&[1, 1, 2, 2]));
    assert_eq!(counts(shown.confusion_matrix), [0, 0, 0, 1, 1, 0, 0, 1, 1]);
    assert_eq!(shown.accuracy, Some(0.5));

    let y = [0.1, 0.8, 0.1, 0.3, 0.4, 0.3, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
    let shown = of_outputs(Loss::CrossEntropy, 3, &f, TargetsRef::Values(&y));
    assert_eq!(counts(shown.confusion_matrix), [0, 0, 0, 1, 1, 0, 0, 1, 1]);

    let labels = TargetsRef::Labels(&[1, 1, 0]);
    let shown = of_outputs(Loss::BinaryCrossEntropy, 1, &[-1.0, 2.0, -3.0], labels);
    assert_eq!(counts(shown.confusion_matrix), [1, 0, 1, 1]);

    // Each of several outputs is a decision for itself.
    let y = TargetsRef::Values(&[1.0, 0.0, 1.0]);
    let shown = of_outputs(Loss::BinaryCrossEntropy, 3, &[1.0, 1.0, 1.0], y);
    assert_eq!(shown.confusion_matrix, None);
    assert_eq!(shown.accuracy, Some(2.0 / 3.0));
}

#[test]
fn more_rows_than_a_block_of_the_evaluator_are_counted_once() {
    let rows = (1 << 17) + 3;
    let f: Vec<f64> = (0..rows).map(f64::from).collect();
    let shown = of_outputs(Loss::HalfSquaredError, 1, &f, TargetsRef::Values(&f));
    assert_eq!((shown.rows, shown.loss), (rows as usize, 0.0));
    assert_eq!(shown.per_sample_loss.map(|l| l.len()), Some(rows as usize));
}
