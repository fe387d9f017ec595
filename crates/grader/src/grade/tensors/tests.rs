mod mistakes;
mod student;

use super::{SubmittedTensor, TensorReport, Worst, grade_tensors};
use crate::grade::{Mistake, Quantity, Tolerance, Verdict};
use student::{Lab, M, had, map, mask, matrix, numbers, t, vector};

fn grade(lab: &Lab, submitted: &[SubmittedTensor], tolerance: &Tolerance) -> Vec<TensorReport> {
    grade_tensors(&lab.references(), submitted, tolerance).expect("the network has them")
}

fn all_correct(reports: &[TensorReport]) -> bool {
    reports
        .iter()
        .all(|report| report.verdict == Verdict::Correct)
}

#[test]
fn names_are_read_as_they_are_written() {
    for name in ["dW2", "db12", "dz1", "dh3", "dx", "delta"] {
        let quantity: Quantity = name.parse().expect("a name");
        assert_eq!(quantity.to_string(), name);
    }
    for name in [
        "",
        "dW",
        "dW0",
        "dW+1",
        "dW01",
        "dv1",
        "dé1",
        "DX",
        "dW-1",
        "dW99999999999999999999",
    ] {
        assert!(name.parse::<Quantity>().is_err(), "{name}");
    }
}

#[test]
fn right_gradients_are_right() {
    for lab in [Lab::relu(), Lab::tanh()] {
        let reports = grade(&lab, &lab.answers(), &Tolerance::EXACT);
        assert!(all_correct(&reports), "{reports:?}");
        for report in reports {
            assert_eq!(report.mistake, None);
            assert!(report.worst.is_empty());
            assert!(report.grid.is_some_and(|grid| grid.share() == 1.0));
        }
    }
}

#[test]
fn the_networks_tell_masks_and_layers_apart() {
    let lab = Lab::relu();
    for z in &lab.z {
        let live = mask(z).concat();
        assert!(live.contains(&0.0) && live.contains(&1.0), "{z:?}");
    }
    // Every unit is live for some sample, and no gradient is all zeros.
    for tensor in lab.answers() {
        assert!(tensor.values.iter().any(|v| v.abs() > 1e-3), "{tensor:?}");
    }
}

/// Rounds after every operation, as float32 does.
fn single(a: &M) -> M {
    map(a, |v| f64::from(v as f32))
}

#[test]
fn single_precision_passes_its_tolerance_and_is_recognised_under_the_exact_one() {
    let lab = Lab::relu();
    let product = |a: &M, b: &M| {
        let entry = |row: &Vec<f64>, j: usize| {
            let terms = row.iter().zip(b).map(|(&a, b)| a as f32 * b[j] as f32);
            f64::from(terms.fold(0.0_f32, |sum, term| sum + term))
        };
        let rows = a.iter();
        rows.map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect())
            .collect::<M>()
    };
    let relu = |z: &M| map(z, |z| z.max(0.0));
    let (x, y) = (single(&lab.x), single(&lab.y));
    let w: Vec<M> = lab.w.iter().map(single).collect();
    let z1 = product(&x, &t(&w[0]));
    let z2 = product(&relu(&z1), &t(&w[1]));
    let f = product(&relu(&z2), &t(&w[2]));
    let delta = single(&student::zip(&f, &y, |f, y| (f - y) / 5.0));
    let dz2 = single(&had(&product(&delta, &w[2]), &mask(&z2)));
    let dz1 = single(&had(&product(&dz2, &w[1]), &mask(&z1)));
    let submitted = [
        matrix("dW3", &product(&t(&delta), &relu(&z2))),
        matrix("dW2", &product(&t(&dz2), &relu(&z1))),
        matrix("dW1", &product(&t(&dz1), &x)),
        matrix("dz1", &dz1),
    ];
    let reports = grade(&lab, &submitted, &Tolerance::FLOAT32);
    assert!(all_correct(&reports), "{reports:?}");
    let strict = Tolerance {
        relative: 1e-10,
        ..Tolerance::EXACT
    };
    for report in grade(&lab, &submitted, &strict) {
        assert_eq!(report.verdict, Verdict::Incorrect);
        assert_eq!(report.mistake, Some(Mistake::Other));
        assert!(
            report.message.contains("single precision"),
            "{}",
            report.message
        );
        assert!(report.message.contains("FLOAT32"), "{}", report.message);
    }

    // A mistake in single precision is named all the same.
    let unmasked = single(&product(&delta, &w[2]));
    let wrong = [matrix("dz2", &unmasked)];
    let reports = grade(&lab, &wrong, &strict);
    assert_eq!(reports[0].mistake, Some(Mistake::MissingMask));
}

#[test]
fn what_is_no_number_is_never_right() {
    let lab = Lab::relu();
    let mut given = lab.answers();
    given[0].values[3] = f64::NAN;
    given[1].values.fill(f64::NAN);
    given[2].values[0] = f64::INFINITY;
    let reports = grade(&lab, &given[..3], &Tolerance::FINITE_DIFFERENCE);
    for report in &reports {
        assert_eq!(report.verdict, Verdict::Incorrect);
        assert_eq!(report.mistake, Some(Mistake::Other));
        assert_eq!(report.largest_absolute_error, None);
    }
    assert!(
        reports[0].message.contains("row 4, column 1"),
        "{}",
        reports[0].message
    );
    let Worst { row, column, given } = reports[0].worst[0];
    assert!(given.is_nan() && (row, column) == (4, 1));
    assert_eq!(reports[1].grid.as_ref().map(|grid| grid.share()), Some(0.0));
}

#[test]
fn nothing_is_never_right() {
    let lab = Lab::relu();
    let empty = SubmittedTensor {
        quantity: Quantity::Weights(1),
        shape: vec![0, 4],
        values: Vec::new(),
    };
    let reports = grade(&lab, &[empty], &Tolerance::FINITE_DIFFERENCE);
    assert_eq!(reports[0].verdict, Verdict::Incorrect);
    assert_eq!(reports[0].mistake, Some(Mistake::ShapeMismatch));
    assert_eq!(grade(&lab, &[], &Tolerance::EXACT), []);
    let zeros = grade(
        &lab,
        &[matrix("dz1", &vec![vec![0.0; 3]; 5])],
        &Tolerance::EXACT,
    );
    assert_eq!(zeros[0].mistake, Some(Mistake::Other));
    assert!(zeros[0].message.contains("Every entry is 0"));
}

#[test]
fn shapes_are_exact_and_named() {
    let lab = Lab::tanh();
    let mut given = lab.answers();
    let db = given
        .iter_mut()
        .find(|given| given.quantity == Quantity::Bias(2))
        .expect("db2");
    db.shape = vec![2, 2];
    let square = db.clone();
    let other = matrix("dW1", &numbers(2, 2, 3.0));
    let reports = grade(&lab, &[square, other], &Tolerance::EXACT);
    for report in &reports {
        assert_eq!(report.verdict, Verdict::Incorrect);
        assert_eq!(report.mistake, Some(Mistake::ShapeMismatch));
        assert!(report.grid.is_none() && report.worst.is_empty());
    }
    assert!(
        reports[0].message.contains("[2, 2] where [4] is expected"),
        "{}",
        reports[0].message
    );
    assert!(
        reports[1]
            .message
            .contains("[2, 2] where [4, 3] is expected")
    );
}

#[test]
fn a_bias_in_a_row_or_a_column_is_right_with_advice() {
    let lab = Lab::tanh();
    for shape in [vec![1, 4], vec![4, 1]] {
        let mut given = lab.answers();
        given.retain(|given| given.quantity == Quantity::Bias(2));
        given[0].shape = shape.clone();
        let reports = grade(&lab, &given, &Tolerance::EXACT);
        assert_eq!(reports[0].verdict, Verdict::Correct);
        let advice = format!("Its shape is {shape:?}; a bias has one axis: [4].");
        assert!(
            reports[0].message.contains(&advice),
            "{}",
            reports[0].message
        );
        given[0].values[0] += 1.0;
        let wrong = grade(&lab, &given, &Tolerance::EXACT);
        assert_eq!(wrong[0].verdict, Verdict::Incorrect);
        assert!(!wrong[0].message.contains("one axis"));
    }
}

#[test]
fn what_the_network_does_not_have_is_refused() {
    let lab = Lab::relu();
    let one = |name: &str| vector(name, &[1.0]);
    let mut twisted = one("dx");
    twisted.shape = vec![usize::MAX, 2];
    let given = [one("dW4"), one("db1"), twisted, one("delta"), one("dh4")];
    let refused = grade_tensors(&lab.references(), &given, &Tolerance::EXACT).expect_err("faults");
    let fields: Vec<&str> = refused.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "submitted[0].layer",
            "submitted[1].layer",
            "submitted[2].tensor.shape",
            "submitted[4].layer"
        ]
    );
}

#[test]
fn references_refuse_what_does_not_fit() {
    use backpropd_engine::nn::{BatchRef, TargetsRef};
    let lab = Lab::relu();
    let empty = BatchRef {
        inputs: &[],
        targets: TargetsRef::Values(&[]),
        rows: 0,
    };
    let short = BatchRef {
        inputs: &[1.0; 4],
        targets: TargetsRef::Labels(&[7]),
        rows: 1,
    };
    let extras = super::Extras {
        earlier: Some(short),
        learning_rate: Some(f64::NAN),
        dataset_size: Some(0),
    };
    let new = |parameters: &[f64], batch, extras| {
        super::References::new(&lab.architecture, parameters, lab.objective, batch, extras)
            .map(|_| ())
            .expect_err("faults")
            .iter()
            .map(|fault| fault.field.clone())
            .collect::<Vec<_>>()
    };
    let fields = [
        "parameters",
        "batch",
        "earlier.targets",
        "learning_rate",
        "dataset_size",
    ];
    assert_eq!(new(&[1.0], empty, extras), fields);
    let batch = BatchRef {
        inputs: &[1.0; 4],
        targets: TargetsRef::Values(&[0.0]),
        rows: 1,
    };
    let huge = vec![1e200; lab.architecture.parameter_count()];
    assert_eq!(new(&huge, batch, super::Extras::default()), ["parameters"]);
}

/// x of one sample is 0, so that z¹ is exactly 0 there.
fn lab_with_a_kink() -> Lab {
    let mut x = numbers(5, 4, 0.7);
    x[2] = vec![0.0; 4];
    Lab::relu_on(x, numbers(5, 1, 9.2))
}

#[test]
fn at_a_kink_both_slopes_are_right() {
    let lab = lab_with_a_kink();
    assert!(lab.z[0][2].iter().all(|&z| z == 0.0));
    let on = lab.answers();
    let strict = |z: &M| map(z, |z| if z > 0.0 { 1.0 } else { 0.0 });
    let slopes = [&strict(&lab.z[1]), &strict(&lab.z[0])];
    let off = lab.answers_from(lab.delta(), slopes, &lab.w);
    assert_ne!(on, off, "the two subgradients differ");
    assert!(all_correct(&grade(&lab, &on, &Tolerance::EXACT)));
    assert!(all_correct(&grade(&lab, &off, &Tolerance::EXACT)));

    // Half the slope is neither, and away from a kink there is one answer.
    let half = |z: &M| {
        map(z, |z| {
            if z == 0.0 {
                0.5
            } else {
                f64::from(u8::from(z > 0.0))
            }
        })
    };
    let middle = lab.answers_from(lab.delta(), [&half(&lab.z[1]), &half(&lab.z[0])], &lab.w);
    assert!(!all_correct(&grade(&lab, &middle, &Tolerance::EXACT)));

    // A mistake is named whichever slope it was made with.
    let negated = |given: &SubmittedTensor| SubmittedTensor {
        values: given.values.iter().map(|v| -v).collect(),
        ..given.clone()
    };
    let wrong: Vec<SubmittedTensor> = off.iter().map(negated).collect();
    for report in grade(&lab, &wrong, &Tolerance::EXACT) {
        assert_eq!(
            report.mistake,
            Some(Mistake::SignFlipped),
            "{}",
            report.message
        );
    }
}

#[test]
fn reports_say_where_and_how_far_and_never_what_is_right() {
    let lab = Lab::relu();
    let mut given = lab.answers()[8].clone();
    let right = given.values[5];
    given.values[5] += 0.123_456_789;
    let report = &grade(&lab, &[given.clone()], &Tolerance::EXACT)[0];
    let worst = Worst {
        row: 2,
        column: 2,
        given: given.values[5],
    };
    assert_eq!(report.worst, [worst]);
    assert_eq!(report.largest_absolute_error, Some(0.12));
    assert_eq!(report.mistake, Some(Mistake::Other));
    assert!(
        report.message.starts_with("1 of 12 entries of dW1 differ"),
        "{}",
        report.message
    );
    assert!(report.message.ends_with('?'));
    let json = serde_json::to_string(report).expect("it is JSON");
    assert!(!json.contains(&right.to_string()[..8]), "{json}");
    assert!(json.contains(r#""quantity":"dW1""#), "{json}");
}

#[test]
fn large_tensors_get_no_grid() {
    let lab = Lab::relu_on(numbers(1400, 4, 0.7), numbers(1400, 1, 9.2));
    let reports = grade(&lab, &lab.answers(), &Tolerance::EXACT);
    let has = |name: &str| {
        let report = reports
            .iter()
            .find(|report| report.quantity.to_string() == name);
        report.is_some_and(|report| report.grid.is_some())
    };
    assert!(!has("dz1") && has("dz2"));
}
