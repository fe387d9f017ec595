//! How models are shown to those who may not see their numbers: a digest that shows a change of the weights and nothing
//! else; and how often networks sent along may be compared with.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::models::handle::ModelEntry;
use super::party::Party;
use super::refused::Refused;
use crate::nn::WeightsDigest;
use crate::training::Access;

/// What the digests' key is derived for, so that no other use of the secret makes the same one.
const CONTEXT: &str = "backpropd 2026-12 digests of COMPARE_ONLY models";

/// The most addresses whose tries are counted; beyond that the count begins anew.
const MOST_ORIGINS: usize = 100_000;

/// How models are shown to those who may not see their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Veil {
    key: [u8; 32],
    /// Whether this holds for all models.
    all: bool,
}

impl Veil {
    /// A veil keyed by the grading secret.
    pub fn new(secret: &[u8], all: bool) -> Self {
        let key = blake3::derive_key(CONTEXT, secret);
        Self { key, all }
    }

    /// What may be done with a model.
    pub fn access(&self, entry: &ModelEntry) -> Access {
        if self.all {
            Access::CompareOnly
        } else {
            entry.access
        }
    }

    /// The digest of a model's weights as a reply shows it.
    pub fn digest(&self, entry: &ModelEntry, digest: WeightsDigest) -> String {
        match self.access(entry) {
            Access::Full => digest.to_string(),
            Access::CompareOnly => self.keyed(&entry.name.to_string(), entry.created, digest),
        }
    }

    /// No other model's digest is equal to it: not that of a guessed seed, nor that of a model made in its place.
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

/// Tries of callers that name no session, by their address, until the server stops.
#[derive(Debug, Default)]
pub struct InlineTries(Mutex<HashMap<Party, u64>>);

impl InlineTries {
    /// Counts a try of this origin, and tells how many are left.
    ///
    /// # Errors
    /// None is left.
    pub fn count(&self, origin: Party, limit: u64) -> Result<u64, Refused> {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= MOST_ORIGINS && !tries.contains_key(&origin) {
            tries.clear();
        }
        let made = tries.entry(origin).or_default();
        if *made >= limit {
            let setting = "max_compare_tries_per_session";
            let message = format!(
                "networks sent along from this address were compared {limit} times ({setting}), which is all that is \
                 allowed until the server restarts: have the limit raised"
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
