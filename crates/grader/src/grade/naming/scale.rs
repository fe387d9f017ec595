//! Factors by which whole answers are wrong: a sign, a constant, the batch size, or a transpose.

use smallvec::{SmallVec, smallvec};

use super::prints::{is_same, pivot};
use crate::grade::Mistake;
use crate::grade::values::Values;

pub(super) type Mistakes = SmallVec<[Mistake; 2]>;

/// Divisors that are taken for a batch size.
const BATCH_SIZES: std::ops::RangeInclusive<u32> = 2..=10;

/// The mistakes whose factors turn `of` into `values` on every network; none if they are equal.
pub(super) fn factors(values: &Values, of: &Values) -> Option<Mistakes> {
    let mut ratios: Vec<(f64, f64)> = Vec::new();
    for (given, wanted) in values.networks.iter().zip(&of.networks) {
        let (given_all, wanted_all) = (given.matrices.as_ref()?, wanted.matrices.as_ref()?);
        let mut ratio = None;
        for (given, wanted) in given_all.iter().zip(wanted_all) {
            if given.shape() != wanted.shape() {
                return None;
            }
            if ratio.is_none()
                && let Some(at) = pivot(wanted)
            {
                ratio = Some(given.entries()[at] / wanted.entries()[at]);
            }
        }
        let factor = ratio.unwrap_or(1.0);
        if !factor.is_finite() || factor.abs() < 1e-9 {
            return None;
        }
        for (given, wanted) in given_all.iter().zip(wanted_all) {
            let scaled = wanted.map(|entry| factor * entry);
            if !is_same(given, &scaled, values.is_approximate()) {
                return None;
            }
        }
        if ratio.is_some() {
            ratios.push((wanted.samples as f64, factor));
        }
    }
    let precision = if values.is_approximate() { 1e-4 } else { 1e-8 };
    let constant = |power: i32| {
        let mut constants = ratios.iter().map(|(m, ratio)| ratio / m.powi(power));
        let first = constants.next()?;
        constants
            .all(|c| (c - first).abs() <= precision * first.abs())
            .then_some(first)
    };
    let is = |c: f64, value: f64| (c - value).abs() <= precision * value.abs();
    if let Some(c) = constant(0) {
        return Some(if is(c, 1.0) {
            smallvec![]
        } else if is(c, -1.0) {
            smallvec![Mistake::SignFlipped]
        } else if c < 0.0 {
            smallvec![Mistake::SignFlipped, Mistake::ConstantFactor]
        } else {
            smallvec![Mistake::ConstantFactor]
        });
    }
    let (mean, c) = match (constant(1), constant(-1)) {
        (Some(c), _) => (Mistake::MissingBatchMean, c),
        (_, Some(c)) => (Mistake::DoubleBatchMean, c),
        (None, None) => return None,
    };
    let hardcoded = mean == Mistake::MissingBatchMean
        && BATCH_SIZES
            .into_iter()
            .any(|size| is(c.abs(), 1.0 / f64::from(size)));
    let mut found: Mistakes = if hardcoded {
        smallvec![Mistake::HardcodedBatchSize]
    } else {
        smallvec![mean]
    };
    if c < 0.0 {
        found.push(Mistake::SignFlipped);
    }
    if !hardcoded && !is(c.abs(), 1.0) {
        found.push(Mistake::ConstantFactor);
    }
    Some(found)
}
