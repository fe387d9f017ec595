//! The fixed comparison of a COMPARE_ONLY model, set by its creator.

use serde::{Deserialize, Serialize};

use super::request_log::Fingerprint;
use backpropd_engine::nn::{Batch, Scalar, TargetsRef};

/// A batch, by its digest, and a tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompareTerms {
    /// [`batch_digest`] of the batch.
    pub batch: Fingerprint,
    /// The allowed error of an entry, relative to the entry itself and to the largest one.
    pub relative_tolerance: f64,
}

/// A digest of a batch in single precision, so that the same batch in either precision has the same digest.
pub fn batch_digest<T: Scalar>(batch: &Batch<T>) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let mut numbers = |kind: u8, numbers: &mut dyn Iterator<Item = f64>, count: usize| {
        hasher.update(&[kind]);
        hasher.update(&(count as u64).to_le_bytes());
        for number in numbers {
            // Zeros of both signs are equal.
            hasher.update(&(number as f32 + 0.0).to_le_bytes());
        }
    };
    let view = batch.view();
    let mut rows = std::iter::once(view.rows as f64);
    numbers(0, &mut rows, 1);
    let mut inputs = view.inputs.iter().map(|value| value.to_f64());
    numbers(1, &mut inputs, view.inputs.len());
    match view.targets {
        TargetsRef::Values(values) => {
            let mut targets = values.iter().map(|value| value.to_f64());
            numbers(2, &mut targets, values.len());
        }
        TargetsRef::Labels(labels) => {
            let mut targets = labels.iter().map(|&label| f64::from(label));
            numbers(3, &mut targets, labels.len());
        }
    }
    hasher.finalize().into()
}
