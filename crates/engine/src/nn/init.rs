//! Initial parameters, from a seed.
//!
//! The generator is ChaCha8 (`rand_chacha`), keyed by the seed, with one stream for each layer, so that a layer's
//! numbers do not depend on the size of the ones before it. Numbers are drawn in `f64` and rounded, so that a
//! FLOAT32 model starts where its FLOAT64 twin does.

use faer::Par;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};

use super::pauses::{Pauses, Unpaused, WALK, without_pauses};
use super::{Architecture, Init, Scalar};

/// The generator's name, for clients that want to reproduce the same numbers.
pub const PRNG: &str =
    "ChaCha8 (rand_chacha 0.10), key = seed as 8 little-endian bytes and 24 zeros";

enum Draw {
    Normal(f64),
    Uniform(f64),
    Zero,
}

/// A generator for `seed`; each `stream` is an independent sequence.
pub(super) fn generator(seed: i64, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);
    generator
}

/// The parameters for `seed`: the same bits on every machine.
pub fn initialize<T: Scalar>(architecture: &Architecture, seed: i64) -> Vec<T> {
    without_pauses(initialize_in_blocks(
        architecture,
        seed,
        &Unpaused(Par::Seq),
    ))
}

/// [`initialize`] with pauses.
pub async fn initialize_in_blocks<T: Scalar>(
    architecture: &Architecture,
    seed: i64,
    pauses: &impl Pauses,
) -> Vec<T> {
    let mut parameters = vec![T::ZERO; architecture.parameter_count()];
    for (index, layer) in architecture.layers().iter().enumerate() {
        let mut generator = generator(seed, index as u64 + 1);
        let (fan_in, fan_out) = (layer.fan_in as f64, layer.units as f64);
        let draw = match layer.init {
            Init::HeNormal => Draw::Normal((2.0 / fan_in).sqrt()),
            Init::HeUniform => Draw::Uniform((6.0 / fan_in).sqrt()),
            Init::XavierNormal => Draw::Normal((2.0 / (fan_in + fan_out)).sqrt()),
            Init::XavierUniform => Draw::Uniform((6.0 / (fan_in + fan_out)).sqrt()),
            Init::LecunNormal => Draw::Normal((1.0 / fan_in).sqrt()),
            Init::LecunUniform => Draw::Uniform((3.0 / fan_in).sqrt()),
            Init::Zeros => Draw::Zero,
            Init::PytorchLinear => Draw::Uniform(1.0 / fan_in.sqrt()),
        };
        let drawn = match layer.init {
            Init::PytorchLinear => layer.weights.start..layer.bias.end,
            Init::HeNormal
            | Init::HeUniform
            | Init::XavierNormal
            | Init::XavierUniform
            | Init::LecunNormal
            | Init::LecunUniform
            | Init::Zeros => layer.weights.clone(),
        };
        for block in parameters[drawn].chunks_mut(WALK) {
            for parameter in block {
                *parameter = T::from_f64(match draw {
                    Draw::Normal(deviation) => {
                        let standard: f64 = StandardNormal.sample(&mut generator);
                        deviation * standard
                    }
                    Draw::Uniform(a) => a * (2.0 * generator.random::<f64>() - 1.0),
                    Draw::Zero => 0.0,
                });
            }
            pauses.pause().await;
        }
    }
    parameters
}
