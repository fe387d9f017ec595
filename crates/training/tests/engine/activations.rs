//! Activations, their slopes and the losses on logits against 250-bit arithmetic (numbers from
//! `tests/goldens/make_activations.py`). PyTorch is no reference here: its σ′ and tanh′ are 0 where the exact value is
//! 10⁻¹⁷.

use std::fmt::Debug;

use Activation::{Gelu, Sigmoid, Silu, Tanh};
use backpropd_engine::nn::{
    Activation, Loss, Objective, Reduction, ReluAtZero, Scalar, TargetsRef,
};
use faer::Par;
use serde_json::Value;

/// The most steps from the nearest number of the type. The exact value is within half a step of that number.
const ULPS: u64 = 7;

/// Numbers of a type in the order of their values, so that neighbours differ by 1 and both zeros are one.
trait Ordered: Scalar + Debug {
    fn place(self) -> i64;
    fn of_hex(hex: &str) -> Self;
}

impl Ordered for f64 {
    fn place(self) -> i64 {
        let size = i64::from_ne_bytes(self.abs().to_ne_bytes());
        if self < 0.0 { -size } else { size }
    }
    fn of_hex(hex: &str) -> Self {
        assert_eq!(hex.len(), 16);
        Self::from_bits(u64::from_str_radix(hex, 16).expect("hexadecimal"))
    }
}

impl Ordered for f32 {
    fn place(self) -> i64 {
        let size = i64::from(self.abs().to_bits());
        if self < 0.0 { -size } else { size }
    }
    fn of_hex(hex: &str) -> Self {
        assert_eq!(hex.len(), 8);
        Self::from_bits(u32::from_str_radix(hex, 16).expect("hexadecimal"))
    }
}

fn ulps<T: Ordered>(a: T, b: T) -> u64 {
    assert!(a.finite() && b.finite(), "{a:?}, {b:?}");
    a.place().abs_diff(b.place())
}

fn golden(file: &str) -> String {
    let path = format!("{}/../../tests/goldens/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the goldens are part of the repository")
}

/// The lines of activations.csv for numbers of `digits` digits.
fn table<T: Ordered>(digits: usize) -> Vec<Vec<T>> {
    golden("activations.csv")
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|line| line[0].len() == digits)
        .map(|line| line.into_iter().map(T::of_hex).collect())
        .collect()
}

fn slopes<T: Scalar>(activation: Activation, z: &[T]) -> Vec<T> {
    let (ones, mut slopes) = (vec![T::ONE; z.len()], vec![T::ZERO; z.len()]);
    activation.backward(z, &ones, &mut slopes, ReluAtZero::One);
    slopes
}

fn values<T: Scalar>(activation: Activation, z: &[T]) -> Vec<T> {
    let mut h = vec![T::ZERO; z.len()];
    activation.forward(z, &mut h);
    h
}

fn every_value_and_slope_is_the_truth<T: Ordered>(digits: usize) {
    let table = table::<T>(digits);
    assert!(table.len() > 800, "{}", table.len());
    let column = |at: usize| table.iter().map(|row| row[at]).collect::<Vec<T>>();
    let z = column(0);
    for (activation, at) in [(Sigmoid, 1), (Tanh, 3), (Gelu, 5), (Silu, 7)] {
        for (what, actual, expected) in [
            ("value", values(activation, &z), column(at)),
            ("slope", slopes(activation, &z), column(at + 1)),
        ] {
            let off = |i: &usize| ulps(actual[*i], expected[*i]);
            let worst = (0..z.len()).max_by_key(off).expect("a table");
            assert!(
                off(&worst) <= ULPS,
                "{activation:?}, {what} at {:?}: {:?} instead of {:?}, {} ulp",
                z[worst],
                actual[worst],
                expected[worst],
                off(&worst),
            );
            // Entries computed one by one have the bits of those computed in a row.
            for (z, long) in z.iter().zip(&actual) {
                let short = if what == "value" {
                    values(activation, &[*z])
                } else {
                    slopes(activation, &[*z])
                };
                assert_eq!(bits_of(short[0]), bits_of(*long), "{z:?}");
            }
        }
    }
}

fn bits_of<T: Scalar>(x: T) -> u64 {
    x.to_f64().to_bits()
}

#[test]
fn activations_and_slopes_are_the_truth_in_float64() {
    every_value_and_slope_is_the_truth::<f64>(16);
}

#[test]
fn activations_and_slopes_are_the_truth_in_float32() {
    every_value_and_slope_is_the_truth::<f32>(8);
}

#[test]
fn what_is_no_number_or_infinite_stays_so() {
    for activation in [Sigmoid, Tanh, Gelu, Silu] {
        assert!(
            values(activation, &[f64::NAN])[0].is_nan(),
            "{activation:?}"
        );
        assert!(
            slopes(activation, &[f64::NAN])[0].is_nan(),
            "{activation:?}"
        );
    }
    let ends = [f64::NEG_INFINITY, f64::INFINITY];
    assert_eq!(values(Sigmoid, &ends), [0.0, 1.0]);
    assert_eq!(values(Tanh, &ends), [-1.0, 1.0]);
    assert_eq!(values(Gelu, &ends[1..]), [f64::INFINITY]);
    assert_eq!(values(Silu, &ends[1..]), [f64::INFINITY]);
    for activation in [Sigmoid, Tanh, Gelu, Silu] {
        let far = [-1e300_f64, 1e300, -800.0, 800.0];
        for h in values(activation, &far)
            .into_iter()
            .chain(slopes(activation, &far))
        {
            assert!(h.is_finite(), "{activation:?}");
        }
    }
    assert!(values(Tanh, &[-0.0_f64])[0].is_sign_negative());
}

fn hex_list<T: Ordered>(list: &Value) -> Vec<T> {
    let list = list.as_array().expect("a list");
    let number = |x: &Value| T::of_hex(x.as_str().expect("hexadecimal"));
    list.iter().map(number).collect()
}

fn loss_is_the_truth<T: Ordered>(case: &Value) {
    let logits: Vec<T> = hex_list(&case["logits"]);
    let targets: Vec<T> = case.get("targets").map(hex_list).unwrap_or_default();
    let labels: Vec<u32> = case["label"]
        .as_i64()
        .map(|l| l as u32)
        .into_iter()
        .collect();
    let view = if labels.is_empty() {
        TargetsRef::Values(&targets)
    } else {
        TargetsRef::Labels(&labels)
    };
    let loss = if case["loss_function"] == "CROSS_ENTROPY" {
        Loss::CrossEntropy
    } else {
        Loss::BinaryCrossEntropy
    };
    let objective = Objective {
        loss,
        reduction: Reduction::Sum,
    };
    let (mut per_sample, mut df) = ([0.0], vec![T::ZERO; logits.len()]);
    let value = objective.evaluate(&logits, view, &mut per_sample, &mut df, Par::Seq);

    let expected = f64::of_hex(case["loss"].as_str().expect("hexadecimal"));
    // A float32 model's loss is a float64 whose exponentials were rounded to float32.
    let off = (value - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    let unit = if size_of::<T>() == 4 {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    };
    assert!(
        off <= 8.0 * unit,
        "{value:e} instead of {expected:e} in {case}"
    );
    let expected: Vec<T> = hex_list(&case["df"]);
    let magnitudes: Vec<T> = case.get("magnitude").map(hex_list).unwrap_or_default();
    for (j, (actual, expected)) in df.iter().zip(&expected).enumerate() {
        let allowed = match magnitudes.get(j) {
            None => ulps(*actual, *expected) <= ULPS,
            Some(size) => (actual.to_f64() - expected.to_f64()).abs() <= 8.0 * unit * size.to_f64(),
        };
        assert!(
            allowed,
            "df[{j}]: {actual:?} instead of {expected:?} in {case}"
        );
    }
}

#[test]
fn losses_on_logits_and_their_gradients_are_the_truth() {
    let cases: Vec<Value> = serde_json::from_str(&golden("logits.json")).expect("JSON");
    assert!(cases.len() > 150, "{}", cases.len());
    for case in cases {
        if case["type"] == "f32" {
            loss_is_the_truth::<f32>(&case);
        } else {
            loss_is_the_truth::<f64>(&case);
        }
    }
}
