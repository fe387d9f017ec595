//! The wrong answers by which the mistakes of one question are recognized: computed when they are first needed.

use std::sync::OnceLock;

use super::near_miss::NearMisses;
use crate::grade::solution::Solution;

/// The batch size that answers are written out for.
pub(in crate::grade) const WRITTEN_OUT: usize = 2;

/// The candidates of one question.
#[derive(Default)]
pub(in crate::grade) struct Candidates {
    /// On all networks.
    pub(in crate::grade) all: NearMisses,
    of_two: OnceLock<Option<Box<OfTwo>>>,
}

/// The same on batches of two, for answers that are written out for two samples.
pub(in crate::grade) struct OfTwo {
    pub(in crate::grade) solution: Solution,
    pub(in crate::grade) near_misses: NearMisses,
}

impl Candidates {
    /// The candidates on the networks of two samples; `None` if there is no such network.
    pub(in crate::grade) fn of_two(&self, solution: &Solution) -> Option<&OfTwo> {
        self.of_two.get_or_init(|| of_two(solution)).as_deref()
    }
}

fn of_two(solution: &Solution) -> Option<Box<OfTwo>> {
    let networks = solution.networks.iter();
    let networks: Vec<_> = networks
        .filter(|network| network.samples() == WRITTEN_OUT)
        .cloned()
        .collect();
    (!networks.is_empty()).then(|| {
        Box::new(OfTwo {
            solution: Solution {
                formula: solution.formula.clone(),
                letters: solution.letters.clone(),
                values: solution.values.of_size(&solution.values, WRITTEN_OUT),
                networks,
            },
            near_misses: NearMisses::default(),
        })
    })
}
