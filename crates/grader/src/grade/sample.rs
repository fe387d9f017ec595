//! The networks that an answer is tried on, drawn from a seed.
//!
//! Networks with arbitrary numbers make a poor judge: where every unit is dead all gradients vanish and every wrong
//! answer agrees; where every unit is live a missing mask does not show. So a network is built unit by unit, each
//! drawn until it is as it should be: far from its kink, live or dead as a plan wants it, its output and δ far from
//! 0. What a shape of network cannot have is demanded less and less; see `LEVELS`.

mod draft;
mod plan;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::{BatchKind, Network, NetworkSpec};
use draft::Draft;
use plan::Plan;

/// The key of a question's networks.
pub type Seed = [u8; 32];

/// The least and the largest magnitude of a weight, a bias, an input, a target value and an argument.
pub const MAGNITUDES: (f64, f64) = (0.2, 1.5);
/// How far from 0 a hidden unit with a kink there is.
pub const LEAST_PRE_ACTIVATION: f64 = 0.1;
/// How far from 0 every output is, but for those that no live unit reaches.
pub const LEAST_OUTPUT: f64 = 0.2;
/// How far from 0 every entry of δ is, times m; less for losses and outputs that cannot have as much.
pub const LEAST_DELTA: f64 = 0.2;
/// How far apart any two weights and biases are, if there are at most 20.
pub const LEAST_GAP: f64 = 0.05;
/// The batch sizes of a question on many samples, in turn.
pub const BATCH_SIZES: [usize; 3] = [2, 3, 5];

/// A network with at most so many weights and biases is tried as often as [`LEVELS`] says.
const SMALL_NETWORK: usize = 64;
/// How often the largest network is tried at each level.
const FEWEST_ATTEMPTS: usize = 10;

/// What is demanded of a network.
#[derive(Clone, Copy, Debug)]
struct Demands {
    /// Whether the units of the last hidden layer are live and dead as planned.
    is_planned: bool,
    /// Whether each hidden layer has a live and a dead unit, if it is not planned.
    is_mixed: bool,
    /// What the distances of units and outputs from 0 are multiplied by.
    distance: f64,
    /// What the distance of δ from 0 is multiplied by.
    delta: f64,
    /// Whether each entry of δ is far from 0, rather than one of each sample.
    is_every_delta: bool,
    /// What the distance between weights is multiplied by.
    gap: f64,
    /// How many small networks are tried before less is demanded.
    attempts: usize,
}

/// From the most to the least demanding.
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

/// A shape of network for which no numbers were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no numbers for network {index} (from 0) make it tell right from wrong, in {attempts} attempts: its outputs or \
     gradients are 0, or out of all proportion; use fewer or smaller layers"
)]
pub struct SampleError {
    /// Which network of the sequence, from 0.
    pub index: usize,
    /// How often it was tried.
    pub attempts: usize,
}

/// The networks of one question: an endless sequence, each of which depends on the seed and its place alone.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    spec: &'a NetworkSpec,
    kind: BatchKind,
    seed: Seed,
    plan: Plan,
}

/// The fewest networks that an answer is tried on: every batch size comes up equally often.
pub fn fewest_networks(kind: BatchKind) -> usize {
    match kind {
        BatchKind::One => 8,
        BatchKind::Many => 3 * BATCH_SIZES.len(),
    }
}

/// The seed of a question's networks: the same on resubmission, unknown to who does not know the secret.
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
/// A shape of network for which no numbers were found.
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
    /// The sequence of `seed`.
    pub fn new(spec: &'a NetworkSpec, kind: BatchKind, seed: Seed) -> Self {
        let mut generator = generator(seed, u64::MAX);
        Self {
            spec,
            kind,
            seed,
            plan: Plan::new(&spec.architecture, kind, &mut generator),
        }
    }

    /// The network at place `index`, from 0.
    ///
    /// # Errors
    /// No numbers were found for it.
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
                    // Both signs come up in turn.
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

    /// How many networks are tried: fewer large ones, each of which is much work.
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

/// m of the network at place `index`.
fn samples(kind: BatchKind, index: usize) -> usize {
    match kind {
        BatchKind::One => 1,
        BatchKind::Many => BATCH_SIZES[index % BATCH_SIZES.len()],
    }
}

/// How many samples the networks before place `index` have.
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
