//! One part to train on, one to measure on.

use backpropd_engine::fault::Violations;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::dataset::Dataset;

/// A split into a training part and a held-out part, which its seed determines for a dataset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    seed: i64,
    held_out_fraction: f64,
}

/// The rows of both parts, from 0, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The rows to train on.
    pub train: Vec<usize>,
    /// The rows to measure on.
    pub held_out: Vec<usize>,
}

impl Split {
    /// Holds out `held_out_fraction` of the rows, chosen by `seed`.
    ///
    /// # Errors
    /// A fraction that is not between 0 and 1.
    pub fn new(seed: i64, held_out_fraction: f64) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        if !(held_out_fraction > 0.0 && held_out_fraction < 1.0) {
            let allowed = "more than 0 and less than 1";
            violations.add("held_out_fraction", held_out_fraction, allowed);
        }
        violations.into_result(Some(Self {
            seed,
            held_out_fraction,
        }))
    }

    /// The seed.
    pub fn seed(&self) -> i64 {
        self.seed
    }

    /// The share of rows to hold out.
    pub fn held_out_fraction(&self) -> f64 {
        self.held_out_fraction
    }

    /// The rows of the parts: the same share of each class is held out, and of two or more rows each part has at least
    /// one.
    pub fn parts(&self, dataset: &Dataset) -> Parts {
        let rows = dataset.rows();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed.cast_unsigned());
        let mut classes: Vec<Vec<usize>> = match dataset.labels() {
            Some(labels) => {
                let mut classes = vec![Vec::new(); dataset.truth().classes()];
                for (row, label) in labels.iter().enumerate() {
                    classes[*label as usize].push(row);
                }
                classes
            }
            None => vec![(0..rows).collect()],
        };
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for class in &mut classes {
            class.shuffle(&mut random);
            // Rounding the running total instead of each class keeps the total near the given fraction.
            let seen = train.len() + held_out.len() + class.len();
            let wanted = share(seen, self.held_out_fraction)
                .saturating_sub(held_out.len())
                .min(class.len());
            held_out.extend_from_slice(&class[..wanted]);
            train.extend_from_slice(&class[wanted..]);
        }
        if held_out.is_empty() {
            held_out.extend(train.pop());
        } else if train.is_empty() {
            train.extend(held_out.pop());
        }
        train.sort_unstable();
        held_out.sort_unstable();
        Parts { train, held_out }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts of rows"
)]
fn share(rows: usize, fraction: f64) -> usize {
    (rows as f64 * fraction).round() as usize
}
