//! The meaning of an answer as a key: answers with equal keys say the same, however they are written.

use super::judge::Judgement;
use super::question::Prepared;
use super::values::{Values, evaluate_in_steps};
use crate::formula::{Notation, render};

/// Values that agree to this many units of the largest entry are equal.
const STEPS: f64 = 1e8;

/// The key of a judged answer; `None` if the answer was not read.
///
/// Wrong answers are keyed by their values. An answer with the values of the right one is keyed by its formula instead:
/// a ruling on one form of the right answer must not reach all others.
pub(super) async fn meaning(prepared: &Prepared, judged: &Judgement) -> Option<String> {
    let Some(expr) = &judged.answer else {
        let understood = judged.report.understood.as_ref()?;
        return Some(format!("understood {}", understood.plain));
    };
    let solution = &prepared.solution;
    let values = evaluate_in_steps(expr, &solution.networks, &solution.letters).await;
    let digest = if prepared.accepts(&values) {
        None
    } else {
        digest(&values)
    };
    Some(digest.map_or_else(
        || format!("formula {}", render(expr, Notation::Plain)),
        |digest| format!("values {digest}"),
    ))
}

/// A digest of values; `None` if the answer has none on some network.
pub(super) fn digest(values: &Values) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    for network in &values.networks {
        for matrix in network.matrices.as_ref()? {
            let entries = matrix.entries();
            let largest = entries
                .iter()
                .fold(0.0f64, |most, entry| most.max(entry.abs()));
            let unit = if largest > 0.0 { largest / STEPS } else { 1.0 };
            let (rows, columns) = matrix.shape();
            // Equal multiples of one another differ in the size of their unit.
            let size = (largest.log2() * 64.0).round();
            for number in [rows as f64, columns as f64, size] {
                hasher.update(&number.to_le_bytes());
            }
            for entry in entries {
                // −0 is 0.
                hasher.update(&((entry / unit).round() + 0.0).to_le_bytes());
            }
        }
    }
    Some(hasher.finalize().to_hex()[..32].to_owned())
}
