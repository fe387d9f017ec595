//! Every mistake, written out as code that makes it, and the name it gets.

use super::super::{References, SubmittedTensor, TensorReport, grade_tensors};
use super::student::{
    Lab, M, column_sums, had, map, mask, matrix, mul, numbers, scaled, t, vector, zip,
};
use crate::grade::{Mistake, Quantity, Tolerance, Verdict};

/// Grades, and expects the mistake in every tensor that is wrong, and that these are.
fn expect(references: &References, given: &[SubmittedTensor], mistake: Mistake, wrong: &[&str]) {
    let reports =
        grade_tensors(references, given, &Tolerance::EXACT).expect("the network has them");
    let is_wrong = |report: &&TensorReport| report.verdict != Verdict::Correct;
    let mut found: Vec<String> = Vec::new();
    for report in reports.iter().filter(is_wrong) {
        found.push(report.quantity.to_string());
        assert_eq!(
            report.mistake,
            Some(mistake),
            "{}: {}",
            report.quantity,
            report.message
        );
        assert!(report.message.ends_with('?'), "{}", report.message);
    }
    assert_eq!(found, wrong);
}

const BELOW_2: [&str; 6] = ["dz2", "dh1", "dz1", "dx", "dW2", "dW1"];

#[test]
fn masks_left_out() {
    let lab = Lab::relu();
    let ones = |z: &M| map(z, |_| 1.0);
    let (s2, s1) = (mask(&lab.z[1]), mask(&lab.z[0]));
    let (o2, o1) = (ones(&lab.z[1]), ones(&lab.z[0]));
    let graded = |slopes, wrong: &[&str]| {
        let given = lab.answers_from(lab.delta(), slopes, &lab.w);
        expect(&lab.references(), &given, Mistake::MissingMask, wrong);
    };
    graded([&o2, &s1], &BELOW_2);
    graded([&s2, &o1], &["dz1", "dx", "dW1"]);
    graded([&o2, &o1], &BELOW_2);
    let lab = Lab::tanh();
    let given = lab.answers_from(lab.delta(), [&ones(&lab.z[1]), &lab.slope(1)], &lab.w);
    let wrong = ["dz2", "dh1", "dz1", "dx", "dW2", "dW1", "db2", "db1"];
    expect(&lab.references(), &given, Mistake::MissingMask, &wrong);
}

#[test]
fn masks_inverted() {
    let lab = Lab::relu();
    let inverted = |z: &M| map(z, |z| f64::from(u8::from(z < 0.0)));
    let slopes = [&inverted(&lab.z[1]), &mask(&lab.z[0])];
    let given = lab.answers_from(lab.delta(), slopes, &lab.w);
    expect(&lab.references(), &given, Mistake::InvertedMask, &BELOW_2);
    let slopes = [&mask(&lab.z[1]), &inverted(&lab.z[0])];
    let given = lab.answers_from(lab.delta(), slopes, &lab.w);
    let wrong = ["dz1", "dx", "dW1"];
    expect(&lab.references(), &given, Mistake::InvertedMask, &wrong);
}

#[test]
fn masks_of_the_wrong_layer() {
    let lab = Lab::tanh();
    let slopes = [&lab.slope(1), &lab.slope(1)];
    let given = lab.answers_from(lab.delta(), slopes, &lab.w);
    let wrong = ["dz2", "dh1", "dz1", "dx", "dW2", "dW1", "db2", "db1"];
    expect(&lab.references(), &given, Mistake::WrongMaskLayer, &wrong);
    // One step early: dh2 has the mask already.
    let lab = Lab::relu();
    let early = had(&mul(&lab.delta(), &lab.w[2]), &mask(&lab.z[1]));
    let given = [matrix("dh2", &early)];
    expect(&lab.references(), &given, Mistake::WrongMaskLayer, &["dh2"]);
}

#[test]
fn the_linear_output_masked() {
    let lab = Lab::relu();
    let delta = had(&lab.delta(), &mask(&lab.z[2]));
    assert_ne!(delta, lab.delta());
    let given = lab.answers_from(delta, [&lab.slope(2), &lab.slope(1)], &lab.w);
    let parameters = &given[6..];
    let wrong = ["dW3", "dW2", "dW1"];
    expect(&lab.references(), parameters, Mistake::MaskOnOutput, &wrong);
}

#[test]
fn derivatives_of_another_activation() {
    let lab = Lab::relu();
    let graded = |lab: &Lab, slope: &dyn Fn(usize) -> M| {
        let given = lab.answers_from(lab.delta(), [&slope(2), &slope(1)], &lab.w);
        let wrong = ["dW2", "dW1"];
        expect(
            &lab.references(),
            &given[6..9],
            Mistake::WrongActivation,
            &wrong,
        );
    };
    graded(&lab, &|i| map(&lab.z[i - 1], |z| z.max(0.0)));
    graded(&lab, &|i| map(&lab.h[i], |h| h * (1.0 - h)));
    graded(&lab, &|i| map(&lab.h[i], |h| 1.0 - h * h));
    let leak = |z: f64| if z >= 0.0 { 1.0 } else { 0.01 };
    graded(&lab, &|i| map(&lab.z[i - 1], leak));
    let lab = Lab::tanh();
    graded(&lab, &|i| map(&lab.h[i], |h| 1.0 - h));
    graded(&lab, &|i| lab.h[i].clone());
    graded(&lab, &|i| map(&lab.h[i], |h| h * (1.0 - h)));
    graded(&lab, &|i| mask(&lab.z[i - 1]));
    graded(&lab, &|i| map(&lab.z[i - 1], |z| 1.0 - z * z));
    graded(&lab, &|i| map(&lab.h[i], |h| 1.0 - h.tanh().powi(2)));
    // Cross-entropy without the softmax.
    let f = &lab.h[3];
    let raw = scaled(&zip(f, &lab.y, |f, y| f - y), 1.0 / lab.m());
    let given = [matrix("delta", &raw), vector("db3", &column_sums(&raw))];
    let wrong = ["delta", "db3"];
    expect(&lab.references(), &given, Mistake::WrongActivation, &wrong);
}

fn times(given: &[SubmittedTensor], factor: f64) -> Vec<SubmittedTensor> {
    let scaled = |given: &SubmittedTensor| SubmittedTensor {
        values: given.values.iter().map(|v| factor * v).collect(),
        ..given.clone()
    };
    given.iter().map(scaled).collect()
}

fn all(given: &[SubmittedTensor]) -> Vec<String> {
    given
        .iter()
        .map(|given| given.quantity.to_string())
        .collect()
}

#[test]
fn probabilities_of_another_loss() {
    let lab = Lab::tanh();
    let delta = lab.delta();
    // The slope of the softmax once more: it is in p − y already.
    let p = zip(&delta, &lab.y, |delta, y| delta * lab.m() + y);
    let twice = zip(&delta, &p, |delta, p| delta * p * (1.0 - p));
    let given = [matrix("delta", &twice)];
    expect(&lab.references(), &given, Mistake::MaskOnOutput, &["delta"]);
    let sigmoid = |f: f64| 1.0 / (1.0 + (-f).exp());
    let each = zip(&lab.h[3], &lab.y, |f, y| (sigmoid(f) - y) / lab.m());
    let given = [matrix("delta", &each)];
    let code = Mistake::WrongActivation;
    expect(&lab.references(), &given, code, &["delta"]);
    // A linear output, with the slope of a sigmoid.
    let lab = Lab::relu();
    let slope = map(&lab.h[3], |f| sigmoid(f) * (1.0 - sigmoid(f)));
    let given = [matrix("delta", &had(&lab.delta(), &slope))];
    expect(&lab.references(), &given, Mistake::MaskOnOutput, &["delta"]);
}

#[test]
fn a_single_output_broadcasts_over_the_units_below() {
    let lab = Lab::relu();
    let wide: M = lab.delta().iter().map(|row| vec![row[0]; 2]).collect();
    let given = [matrix("dh2", &wide)];
    expect(&lab.references(), &given, Mistake::WeightDropped, &["dh2"]);
}

#[test]
fn the_weights_of_one_layer_after_the_step() {
    let lab = Lab::relu();
    let dz2 = had(&mul(&lab.delta(), &lab.w[2]), &lab.slope(2));
    let dw2 = mul(&t(&dz2), &lab.h[1]);
    let w2 = zip(&lab.w[1], &dw2, |w, dw| w - 0.1 * dw);
    let dz1 = had(&mul(&dz2, &w2), &lab.slope(1));
    let given = [matrix("dW1", &mul(&t(&dz1), &lab.x))];
    let code = Mistake::UpdatedWeightsUsed;
    expect(&lab.references(), &given, code, &["dW1"]);
}

#[test]
fn constants() {
    for lab in [Lab::relu(), Lab::tanh()] {
        let answers = lab.answers();
        let names = all(&answers);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let references = lab.references_with(None, None, Some(40));
        let (m, n) = (lab.m(), 40.0);
        let cases = [
            (-1.0, Mistake::SignFlipped),
            (m, Mistake::MissingBatchMean),
            (1.0 / m, Mistake::DoubleBatchMean),
            (m / n, Mistake::HardcodedBatchSize),
            (n / m, Mistake::HardcodedBatchSize),
            (2.0, Mistake::ConstantFactor),
            (0.5, Mistake::ConstantFactor),
            (1.75, Mistake::ConstantFactor),
            (-3.0, Mistake::ConstantFactor),
        ];
        for (factor, mistake) in cases {
            expect(&references, &times(&answers, factor), mistake, &names);
        }
        let given = times(&answers[8..9], 1.75);
        let report = &grade_tensors(&references, &given, &Tolerance::EXACT).expect("dW1")[0];
        assert!(report.message.contains("1.75 times"), "{}", report.message);
    }
    // One number is a multiple of every other, so that a constant would mean nothing.
    let single = Lab::relu_on(numbers(1, 4, 0.7), numbers(1, 1, 9.2));
    let given = times(&single.answers()[..1], 1.75);
    expect(&single.references(), &given, Mistake::Other, &["delta"]);
}

#[test]
fn only_one_sample_counts() {
    let lab = Lab::relu();
    let at = |k: usize, by: f64| {
        let x = vec![lab.x[k].clone()];
        let y = vec![lab.y[k].clone()];
        let one = Lab::relu_on(x, y);
        times(&one.answers(), by)
    };
    let live = (0..5).find(|&k| at(k, 1.0)[8].values.iter().any(|&v| v != 0.0));
    assert!(live.is_some());
    // δ, dh and dz have one row, and the gradients of the weights are those of one sample.
    for (k, by) in [(0, 1.0), (0, 0.2), (4, 1.0), (4, 0.2)] {
        let given: Vec<SubmittedTensor> = at(k, by)
            .into_iter()
            .filter(|given| given.values.iter().any(|&v| v != 0.0))
            .collect();
        let names = all(&given);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        expect(&lab.references(), &given, Mistake::FirstSampleOnly, &names);
    }
}

#[test]
fn biases_not_summed() {
    let lab = Lab::tanh();
    let dz2 = had(&mul(&lab.delta(), &lab.w[2]), &lab.slope(2));
    let given = [matrix("db2", &dz2)];
    expect(&lab.references(), &given, Mistake::BiasNotSummed, &["db2"]);
    let over_units: Vec<f64> = dz2.iter().map(|row| row.iter().sum()).collect();
    let given = [vector("db2", &over_units)];
    expect(&lab.references(), &given, Mistake::BiasNotSummed, &["db2"]);
}

#[test]
fn residuals_that_broadcast() {
    let lab = Lab::relu();
    let m = lab.x.len();
    let (f, y) = (&lab.h[3], &lab.y);
    // numpy: f of shape (m, 1) minus y of shape (m,) has shape (m, m).
    let square: M = (0..m)
        .map(|k| (0..m).map(|l| (f[k][0] - y[l][0]) / lab.m()).collect())
        .collect();
    let given = [matrix("delta", &square)];
    expect(
        &lab.references(),
        &given,
        Mistake::ShapeMismatch,
        &["delta"],
    );
    // Automatic differentiation of its mean sums each row.
    let rows: M = square
        .iter()
        .map(|row| vec![row.iter().sum::<f64>() / lab.m()])
        .collect();
    let given = lab.answers_from(rows, [&lab.slope(2), &lab.slope(1)], &lab.w);
    let wrong = ["dW3", "dW2", "dW1"];
    expect(
        &lab.references(),
        &given[6..],
        Mistake::ShapeMismatch,
        &wrong,
    );
}

#[test]
fn transposes() {
    let lab = Lab::tanh();
    let mut w = lab.w.clone();
    w[1] = t(&w[1]);
    let given = lab.answers_from(lab.delta(), [&lab.slope(2), &lab.slope(1)], &w);
    let wrong = ["dh1", "dz1", "dx", "dW1", "db1"];
    expect(&lab.references(), &given, Mistake::MissingTranspose, &wrong);
    let dz2 = had(&mul(&lab.delta(), &lab.w[2]), &lab.slope(2));
    for (name, wrong) in [
        ("dW2", mul(&t(&lab.h[1]), &dz2)),
        ("dW3", mul(&t(&lab.h[2]), &lab.delta())),
        ("delta", t(&lab.delta())),
    ] {
        let given = [matrix(name, &wrong)];
        expect(
            &lab.references(),
            &given,
            Mistake::TransposedResult,
            &[name],
        );
    }
    // With as many samples as units, dz h has a shape that fits.
    let small = Lab::relu_on(numbers(3, 4, 0.7), numbers(3, 1, 9.2));
    let answers = small.answers();
    let dz1: M = answers[4].values.chunks(3).map(<[f64]>::to_vec).collect();
    let given = [matrix("dW1", &mul(&dz1, &small.x))];
    expect(
        &small.references(),
        &given,
        Mistake::MissingTranspose,
        &["dW1"],
    );
}

#[test]
fn weights_after_the_step() {
    for (lab, rate) in [(Lab::relu(), 0.37), (Lab::tanh(), 0.1)] {
        let slopes = [lab.slope(2), lab.slope(1)];
        // dh is computed after W was changed in place.
        let mut w = lab.w.clone();
        let mut dz = lab.delta();
        let mut given = Vec::new();
        for i in (1..=3).rev() {
            let dw = mul(&t(&dz), &lab.h[i - 1]);
            w[i - 1] = zip(&w[i - 1], &dw, |w, dw| w - rate * dw);
            given.push(matrix(&format!("dW{i}"), &dw));
            if i > 1 {
                dz = had(&mul(&dz, &w[i - 1]), &slopes[3 - i]);
            }
        }
        let known = lab.references_with(None, Some(rate), None);
        let wrong = ["dW2", "dW1"];
        expect(&known, &given, Mistake::UpdatedWeightsUsed, &wrong);
        // A usual rate is found without being told, another one is not.
        let unknown = lab.references();
        let code = if rate == 0.1 {
            Mistake::UpdatedWeightsUsed
        } else {
            Mistake::Other
        };
        expect(&unknown, &given[2..], code, &["dW1"]);
    }
}

#[test]
fn gradients_not_zeroed() {
    {
        let lab = Lab::relu();
        let before = Lab::relu_on(numbers(7, 4, 2.7), numbers(7, 1, 4.2));
        let (now, earlier) = (lab.answers(), before.answers());
        let mut given = now.clone();
        for at in 6..given.len() {
            let sum = now[at].values.iter().zip(&earlier[at].values);
            given[at].values = sum.map(|(a, b)| a + b).collect();
        }
        let references = lab.references_with(Some(&before), None, None);
        let wrong = ["dW3", "dW2", "dW1"];
        expect(&references, &given, Mistake::GradientNotZeroed, &wrong);
    }
    // The same batch twice doubles the gradients of the parameters, and no others.
    for lab in [Lab::relu(), Lab::tanh()] {
        let answers = lab.answers();
        let mut given = answers[..6].to_vec();
        given.extend(times(&answers[6..], 2.0));
        let names = all(&answers[6..]);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        expect(
            &lab.references(),
            &given,
            Mistake::GradientNotZeroed,
            &names,
        );
        expect(
            &lab.references(),
            &given[6..],
            Mistake::GradientNotZeroed,
            &names,
        );
        // One that is not doubled speaks against it.
        given[6] = answers[6].clone();
        expect(
            &lab.references(),
            &given,
            Mistake::ConstantFactor,
            &names[1..],
        );
    }
}

#[test]
fn factors_of_the_wrong_layer() {
    let lab = Lab::tanh();
    let answers = lab.answers();
    let mut swapped = answers[2].clone();
    swapped.quantity = Quantity::PreActivation(1);
    expect(
        &lab.references(),
        &[swapped],
        Mistake::WrongWeight,
        &["dz1"],
    );
    let dz2 = had(&mul(&lab.delta(), &lab.w[2]), &lab.slope(2));
    for h in [&lab.h[2], &lab.z[0]] {
        let given = [matrix("dW2", &mul(&t(&dz2), h))];
        expect(&lab.references(), &given, Mistake::WrongWeight, &["dW2"]);
    }
    let given = [matrix("dh1", &dz2)];
    expect(&lab.references(), &given, Mistake::WeightDropped, &["dh1"]);
}

#[test]
fn two_mistakes_are_both_told() {
    let lab = Lab::relu();
    let ones = map(&lab.z[1], |_| 1.0);
    let given = lab.answers_from(scaled(&lab.delta(), 5.0), [&ones, &lab.slope(1)], &lab.w);
    let report = grade_tensors(&lab.references(), &given[7..8], &Tolerance::EXACT);
    let report = &report.expect("dW2")[0];
    assert_eq!(report.mistake, Some(Mistake::Other));
    for word in ["MISSING_BATCH_MEAN", "MISSING_MASK"] {
        assert!(report.message.contains(word), "{}", report.message);
    }
}

/// The report on one tensor has both codes.
fn expect_both(lab: &Lab, given: SubmittedTensor, codes: [&str; 2]) {
    let report = grade_tensors(&lab.references(), &[given], &Tolerance::EXACT);
    let report = &report.expect("the network has it")[0];
    assert_eq!(report.verdict, Verdict::Incorrect);
    for code in codes {
        assert!(report.message.contains(code), "{}", report.message);
    }
}

#[test]
fn a_transpose_with_a_sign_or_a_mask_is_two_mistakes() {
    let lab = Lab::relu();
    let dz2 = had(&mul(&lab.delta(), &lab.w[2]), &lab.slope(2));
    let turned = t(&scaled(&mul(&t(&dz2), &lab.h[1]), -1.0));
    let codes = ["TRANSPOSED_RESULT", "SIGN_FLIPPED"];
    expect_both(&lab, matrix("dW2", &turned), codes);
    let unmasked = t(&mul(&t(&mul(&lab.delta(), &lab.w[2])), &lab.h[1]));
    let codes = ["TRANSPOSED_RESULT", "MISSING_MASK"];
    expect_both(&lab, matrix("dW2", &unmasked), codes);
}

#[test]
fn two_backward_mistakes_are_named_together() {
    let lab = Lab::relu();
    let unmasked = mul(&lab.delta(), &lab.w[2]);
    let given = matrix("dW2", &mul(&t(&unmasked), &lab.z[0]));
    expect_both(&lab, given, ["MISSING_MASK", "WRONG_WEIGHT"]);
}

#[test]
fn sums_before_the_product() {
    let lab = Lab::relu();
    let dz2 = had(&mul(&lab.delta(), &lab.w[2]), &lab.slope(2));
    let (dz, h) = (vec![column_sums(&dz2)], vec![column_sums(&lab.h[1])]);
    let given = [matrix("dW2", &mul(&t(&dz), &h))];
    expect(&lab.references(), &given, Mistake::ProductOfSums, &["dW2"]);
}

#[test]
fn a_right_tensor_says_what_its_batch_hides() {
    use super::super::Extras;
    use backpropd_engine::nn::{BatchRef, TargetsRef};

    let lab = Lab::relu();
    let message = |w: &[M], x: &M, y: &M, dataset_size| {
        let parameters: Vec<f64> = w.iter().flat_map(|w| w.concat()).collect();
        let (inputs, targets) = (x.concat(), y.concat());
        let batch = BatchRef {
            inputs: &inputs,
            targets: TargetsRef::Values(&targets),
            rows: x.len(),
        };
        let extras = Extras {
            dataset_size,
            ..Extras::default()
        };
        let (architecture, objective) = (&lab.architecture, lab.objective);
        let references = References::new(architecture, &parameters, objective, batch, extras);
        let references = references.expect("it fits");
        let right = references.right.weights[0].clone();
        let given = SubmittedTensor {
            quantity: Quantity::Weights(1),
            shape: right.shape,
            values: right.values,
        };
        let reports = grade_tensors(&references, &[given], &Tolerance::EXACT).expect("dW1");
        assert_eq!(reports[0].verdict, Verdict::Correct);
        reports[0].message.clone()
    };
    assert_eq!(message(&lab.w, &lab.x, &lab.y, None), "Right.");
    let live: Vec<M> = lab.w.iter().map(|w| map(w, f64::abs)).collect();
    let positive = map(&lab.x, |x| x.abs() + 0.1);
    for (message, hidden) in [
        (message(&live, &positive, &lab.y, None), "missing mask"),
        (
            message(&lab.w, &lab.x, &map(&lab.y, |_| 0.3), None),
            "all targets are equal",
        ),
        (
            message(&lab.w, &lab.x, &lab.y, Some(lab.x.len())),
            "1/N in place of 1/m",
        ),
        (
            message(&live, &positive[..1].to_vec(), &lab.y[..1].to_vec(), None),
            "one sample",
        ),
    ] {
        assert!(message.contains(hidden), "{message}");
    }
}

#[test]
fn nonsense_has_no_name() {
    let lab = Lab::relu();
    let given = [matrix("dW1", &numbers(3, 4, 77.0))];
    expect(&lab.references(), &given, Mistake::Other, &["dW1"]);
}
