//! Values for an assignment's constants.

use rand::RngExt as _;

use super::seed::{Seed, generator};
use crate::formula::Matrix;
use crate::grade::Constant;

/// The stream of the generator; networks use the ones from 0, the plan the last.
const STREAM: u64 = 1 << 32;
/// The magnitudes of even and of odd entries: below and above 1, so that a power or a factor shows.
const SMALL: std::ops::Range<f64> = 0.3..0.8;
const LARGE: std::ops::Range<f64> = 1.25..1.9;

/// The constants of the network at `index`. A number is below 1 on even networks and above 1 on odd ones; signs
/// alternate where they may.
pub fn constants(list: &[Constant], seed: Seed, index: usize) -> Vec<Matrix> {
    let mut generator = generator(seed, STREAM + index as u64);
    let mut one = |constant: &Constant| {
        let (rows, columns) = constant.shape;
        let entries = (0..rows * columns).map(|entry| {
            let range = if (index + entry).is_multiple_of(2) {
                SMALL
            } else {
                LARGE
            };
            let magnitude: f64 = generator.random_range(range);
            // Two entries of each sign in turn, so that magnitude and sign are not tied together.
            let is_negative = !constant.is_positive && (index + entry) % 4 >= 2;
            if is_negative { -magnitude } else { magnitude }
        });
        Matrix::new(rows, columns, entries.collect())
    };
    list.iter().map(&mut one).collect()
}
