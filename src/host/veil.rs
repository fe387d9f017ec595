//! COMPARE_ONLY access: which models have it, keyed digests that reveal a change of weights and nothing else, and the
//! count of tries with inline networks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::models::handle::ModelEntry;
use super::party::Party;
use super::refused::Refused;
use crate::nn::WeightsDigest;
use crate::training::Access;

/// Context of the key derivation, so that no other use of the secret derives the same key.
const CONTEXT: &str = "backpropd 2026-12 digests of COMPARE_ONLY models";

/// Most addresses whose tries are counted; beyond that, counting restarts from zero.
const MOST_ORIGINS: usize = 100_000;

/// Decides which models are COMPARE_ONLY, and keys their digests.
#[derive(Clone, Copy, Debug)]
pub struct Veil {
    key: [u8; 32],
    /// Whether all models are COMPARE_ONLY.
    all: bool,
}

impl Veil {
    /// A veil with a digest key derived from the grading secret.
    pub fn new(secret: &[u8], all: bool) -> Self {
        let key = blake3::derive_key(CONTEXT, secret);
        Self { key, all }
    }

    /// The access that callers have to a model.
    pub fn access(&self, entry: &ModelEntry) -> Access {
        if self.all {
            Access::CompareOnly
        } else {
            entry.access
        }
    }

    /// The digest of a model's weights for a reply.
    pub fn digest(&self, entry: &ModelEntry, digest: WeightsDigest) -> String {
        match self.access(entry) {
            Access::Full => digest.to_string(),
            Access::CompareOnly => self.keyed(&entry.name.to_string(), entry.created, digest),
        }
    }

    /// The keyed digest. It equals no other model's digest: neither that of a guessed seed nor that of a model
    /// recreated under the same name.
    pub fn keyed(&self, name: &str, created: SystemTime, digest: WeightsDigest) -> String {
        let since = created.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&since.as_nanos().to_le_bytes());
        hasher.update(digest.to_string().as_bytes());
        hasher.finalize().to_string()
    }
}

/// Tries by callers without a session, counted by person, or by address, until the server stops.
#[derive(Debug, Default)]
pub struct InlineTries(Mutex<HashMap<Party, u64>>);

impl InlineTries {
    /// Counts a try from this origin and returns how many are left.
    ///
    /// # Errors
    /// No tries are left.
    pub fn count(&self, origin: Party, limit: u64) -> Result<u64, Refused> {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= MOST_ORIGINS && !tries.contains_key(&origin) {
            tries.clear();
        }
        let made = tries.entry(origin).or_default();
        if *made >= limit {
            let setting = "max_compare_tries_per_session";
            let message = format!(
                "inline networks of this caller, a person or else an address, were compared {limit} times ({setting}), the maximum \
                 until the server restarts: have the limit raised"
            );
            return Err(Refused::quota(setting, limit, message));
        }
        *made += 1;
        Ok(limit - *made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Activation, Architecture, ArchitectureLimits, Init, LayerSpec, ReluAtZero};

    #[test]
    fn a_keyed_digest_tells_names_makings_secrets_and_weights_apart() {
        let layer = LayerSpec {
            units: 1,
            activation: Activation::Linear,
            bias: false,
            init: Init::Zeros,
        };
        let limits = ArchitectureLimits {
            layers: 1,
            units: 1,
            parameters: 1,
        };
        let one = Architecture::new(1, &[layer], ReluAtZero::One, &limits).expect("small");
        let digest = |weight: f64| WeightsDigest::new(&one, &[weight]);
        let veil = Veil::new(b"secret", false);
        let shown = veil.keyed("a", UNIX_EPOCH, digest(1.0));
        assert_eq!(shown, veil.keyed("a", UNIX_EPOCH, digest(1.0)));
        let later = UNIX_EPOCH + std::time::Duration::from_nanos(1);
        for other in [
            veil.keyed("b", UNIX_EPOCH, digest(1.0)),
            veil.keyed("a", later, digest(1.0)),
            veil.keyed("a", UNIX_EPOCH, digest(2.0)),
            Veil::new(b"other", false).keyed("a", UNIX_EPOCH, digest(1.0)),
            digest(1.0).to_string(),
        ] {
            assert_ne!(shown, other);
        }
    }

    #[test]
    fn tries_of_an_address_are_limited() {
        let tries = InlineTries::default();
        let [one, other] = [Party::of("one"), Party::of("other")];
        assert_eq!(tries.count(one, 2).ok(), Some(1));
        assert_eq!(tries.count(one, 2).ok(), Some(0));
        assert!(tries.count(one, 2).is_err());
        assert_eq!(tries.count(other, 2).ok(), Some(1));
    }
}
