//! Samples the networks on which an answer is evaluated, from a seed.
//!
//! Arbitrary parameters make a poor test: where every unit is dead, all gradients vanish and every wrong answer agrees;
//! where every unit is live, a missing mask has no effect. So a network is built unit by unit, each redrawn until it
//! qualifies: far from its kink, live or dead as planned, with its output and δ far from 0. Requirements that a
//! network's shape cannot satisfy are relaxed step by step; see `LEVELS`.

mod constants;
mod demands;
mod draft;
mod plan;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::{BatchKind, Network, NetworkSpec};
pub(super) use constants::constants;
use demands::Demands;
pub use demands::{LEAST_DELTA, LEAST_GAP, LEAST_OUTPUT, LEAST_PRE_ACTIVATION, MAGNITUDES};
use draft::Draft;
use plan::Plan;

/// The key of a question's networks.
pub type Seed = [u8; 32];

/// The batch sizes of a question on many samples, in rotation.
pub const BATCH_SIZES: [usize; 3] = [2, 3, 5];

/// Networks with at most this many weights and biases are tried as often as [`LEVELS`] says.
const SMALL_NETWORK: usize = 64;
/// How often the largest network is tried at each level.
const FEWEST_ATTEMPTS: usize = 10;

/// From the strictest to the most relaxed.
const LEVELS: [Demands; 5] = [
    Demands {
        is_planned: true,
        is_mixed: true,
        distance: 1.0,
        delta: 1.0,
        is_every_delta: true,
        gap: 1.0,
        attempts: 1000,
    },
    Demands {
        is_planned: false,
        is_mixed: true,
        distance: 1.0,
        delta: 1.0,
        is_every_delta: true,
        gap: 1.0,
        attempts: 200,
    },
    Demands {
        is_planned: false,
        is_mixed: true,
        distance: 0.5,
        delta: 0.25,
        is_every_delta: true,
        gap: 0.5,
        attempts: 100,
    },
    Demands {
        is_planned: false,
        is_mixed: false,
        distance: 0.25,
        delta: 0.01,
        is_every_delta: false,
        gap: 0.0,
        attempts: 100,
    },
    Demands {
        is_planned: false,
        is_mixed: false,
        distance: 0.01,
        delta: 1e-9,
        is_every_delta: false,
        gap: 0.0,
        attempts: 100,
    },
];

/// No parameters were found for a shape of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no numbers for network {index} (from 0) make it tell right from wrong, in {attempts} attempts: its outputs or \
     gradients are 0, or out of all proportion; use fewer or smaller layers"
)]
pub struct SampleError {
    /// The index of the network in the sequence, from 0.
    pub index: usize,
    /// The number of tries.
    pub attempts: usize,
}

/// The networks of one question: an endless sequence, in which each depends only on the seed and its index.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    spec: &'a NetworkSpec,
    kind: BatchKind,
    seed: Seed,
    plan: Plan,
}

/// The fewest networks on which an answer is evaluated: every batch size occurs equally often.
pub fn fewest_networks(kind: BatchKind) -> usize {
    match kind {
        BatchKind::One => 8,
        BatchKind::Many => 3 * BATCH_SIZES.len(),
    }
}

/// The seed of a question's networks: the same on resubmission, and unpredictable without the secret.
pub fn seed(secret: &[u8], assignment: &str, question: &str) -> Seed {
    let mut hasher = blake3::Hasher::new_derive_key("backpropd: sample networks of a question, v1");
    for part in [secret, assignment.as_bytes(), question.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// The first `count` networks of a question, or [`fewest_networks`] if that is more.
///
/// # Errors
/// No parameters were found for this shape of network.
pub fn sample_networks(
    spec: &NetworkSpec,
    kind: BatchKind,
    seed: Seed,
    count: usize,
) -> Result<Vec<Network>, SampleError> {
    let sampler = Sampler::new(spec, kind, seed);
    (0..count.max(fewest_networks(kind)))
        .map(|index| sampler.network(index))
        .collect()
}

impl<'a> Sampler<'a> {
    /// The sequence for `seed`.
    pub fn new(spec: &'a NetworkSpec, kind: BatchKind, seed: Seed) -> Self {
        let mut generator = generator(seed, u64::MAX);
        Self {
            spec,
            kind,
            seed,
            plan: Plan::new(&spec.architecture, kind, &mut generator),
        }
    }

    /// The network at `index`, from 0.
    ///
    /// # Errors
    /// No parameters were found for it.
    pub fn network(&self, index: usize) -> Result<Network, SampleError> {
        let mut generator = generator(self.seed, index as u64);
        let samples = samples(self.kind, index);
        let first = first_sample(self.kind, index);
        let planned: Vec<_> = (first..first + samples)
            .map(|sample| self.plan.live_units(sample))
            .collect();
        for demands in &LEVELS {
            let planned = if demands.is_planned {
                &planned[..]
            } else {
                &[]
            };
            for _ in 0..self.attempts(demands) {
                let draft = Draft::new(self.spec, demands, samples, &mut generator);
                if let Some(mut numbers) = draft.numbers(planned) {
                    // Both signs alternate.
                    let sign = if index.is_multiple_of(2) { 1.0 } else { -1.0 };
                    numbers.argument = sign * numbers.argument.abs();
                    return Ok(Network::new(self.spec, &numbers));
                }
            }
        }
        Err(SampleError {
            index,
            attempts: LEVELS.iter().map(|demands| self.attempts(demands)).sum(),
        })
    }

    /// The number of networks to try: fewer large ones, which cost more.
    fn attempts(&self, demands: &Demands) -> usize {
        let parameters = self.spec.architecture.parameter_count();
        let attempts = demands.attempts * SMALL_NETWORK / parameters.max(SMALL_NETWORK);
        attempts.max(FEWEST_ATTEMPTS)
    }
}

fn generator(seed: Seed, stream: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::from_seed(seed);
    generator.set_stream(stream);
    generator
}

/// m of the network at `index`.
fn samples(kind: BatchKind, index: usize) -> usize {
    match kind {
        BatchKind::One => 1,
        BatchKind::Many => BATCH_SIZES[index % BATCH_SIZES.len()],
    }
}

/// The number of samples in the networks before `index`.
fn first_sample(kind: BatchKind, index: usize) -> usize {
    match kind {
        BatchKind::One => index,
        BatchKind::Many => {
            let (turns, rest) = (index / BATCH_SIZES.len(), index % BATCH_SIZES.len());
            let of_a_turn: usize = BATCH_SIZES.iter().sum();
            turns * of_a_turn + BATCH_SIZES[..rest].iter().sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests;
