//! Seeds of a question's networks.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// The key of a question's networks.
pub type Seed = [u8; 32];

/// The seed of a question's networks: the same on resubmission, and unpredictable without the secret.
pub fn seed(secret: &[u8], assignment: &str, question: &str) -> Seed {
    let mut hasher = blake3::Hasher::new_derive_key("backpropd: sample networks of a question, v1");
    for part in [secret, assignment.as_bytes(), question.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

pub(super) fn generator(seed: Seed, stream: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::from_seed(seed);
    generator.set_stream(stream);
    generator
}
