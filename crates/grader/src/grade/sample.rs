//! Samples the networks on which an answer is evaluated, from a seed.
//!
//! Arbitrary parameters make a poor test: where every unit is dead, all gradients vanish and every wrong answer agrees;
//! where every unit is live, a missing mask has no effect. So the networks of a question are designed first: a set that
//! meets the conditions of [`Condition`] together, built unit by unit, each redrawn until it qualifies. The design is
//! the same for every secret. The secret then varies every number a little, on the same side of every threshold: an
//! answer is right or wrong on the same networks under every secret, and no one can compute the values without it.
//! Requirements that a network's shape cannot satisfy are relaxed step by step; see `LEVELS`.

mod axis;
mod batches;
mod conditions;
mod constants;
mod demands;
mod design;
mod draft;
mod plan;
mod seed;
mod variation;

use super::{BatchKind, Network, NetworkSpec};
pub use batches::{BATCH_SIZES, fewest_networks};
pub use conditions::Condition;
pub(super) use constants::constants;
pub use demands::{
    LEAST_DELTA, LEAST_GAP, LEAST_OUTPUT, LEAST_PRE_ACTIVATION, MAGNITUDES, NEAR, SampleError,
};
pub use design::{Design, Designs};
use seed::generator;
pub use seed::{Seed, seed};
use variation::vary;

/// The networks of one question: an endless sequence, in which each depends only on the design, the seed and its index.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    spec: &'a NetworkSpec,
    design: &'a Design,
    seed: Seed,
}

/// The networks of a question: those of the design for its kind, and more up to `count`.
///
/// # Errors
/// No parameters were found for this shape of network.
pub fn sample_networks(
    spec: &NetworkSpec,
    kind: BatchKind,
    seed: Seed,
    count: usize,
) -> Result<Vec<Network>, SampleError> {
    let design = Design::new(spec, kind)?;
    let sampler = Sampler::new(spec, &design, seed);
    (0..count.max(design.len()))
        .map(|index| sampler.network(index))
        .collect()
}

impl<'a> Sampler<'a> {
    /// The sequence for `seed`.
    pub fn new(spec: &'a NetworkSpec, design: &'a Design, seed: Seed) -> Self {
        Self { spec, design, seed }
    }

    /// The network at `index`, from 0.
    ///
    /// # Errors
    /// No parameters were found for it; never for a network of the design.
    pub fn network(&self, index: usize) -> Result<Network, SampleError> {
        let mut generator = generator(self.seed, index as u64);
        if let Some((numbers, network)) = self.design.networks.get(index) {
            return Ok(vary(self.spec, network, numbers, &mut generator));
        }
        let (numbers, _) = self.design.candidate(self.spec, index, 0, &[], 0)?;
        let network = Network::new(self.spec, &numbers);
        Ok(vary(self.spec, &network, &numbers, &mut generator))
    }
}

#[cfg(test)]
mod tests;
