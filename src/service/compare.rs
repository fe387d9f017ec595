//! What COMPARE_ONLY tells: whose access is limited, on which terms a model is compared with, how often, and a digest that
//! shows a change of the weights and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Status;

use super::entry::{AnyModel, ModelEntry};
use super::status::{limited, no_compare_batch};
use super::{Server, telemetry};
use crate::nn::{Batch, Violations, WeightsDigest};
use crate::service::caller::Party;
use crate::training::{Access, CompareTerms, SessionName, batch_digest};

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
    fn keyed(&self, name: &str, created: SystemTime, digest: WeightsDigest) -> String {
        let since = created.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&since.as_nanos().to_le_bytes());
        hasher.update(digest.to_string().as_bytes());
        hasher.finalize().to_string()
    }
}

/// What gradients are graded against, and how much of it is told.
pub struct Reference {
    /// The network.
    pub model: AnyModel,
    /// How it may be compared with; `None` where everything is told.
    pub limits: Option<CompareLimits>,
}

/// How a model of limited access may be compared with.
pub struct CompareLimits {
    /// What its maker fixed; `None` where the caller chooses the batch.
    pub terms: Option<CompareTerms>,
    /// Whose tries are counted; `None` for a network sent along, whose caller's address is counted.
    session: Option<SessionName>,
    name: String,
    created: SystemTime,
    veil: Veil,
}

impl Reference {
    /// A model of a session.
    ///
    /// # Errors
    /// Only comparing is allowed, and on which batch was not said.
    pub fn named(server: &Server, entry: &ModelEntry) -> Result<Self, Status> {
        let veil = server.grading.veil;
        let limits = match veil.access(entry) {
            Access::Full => None,
            Access::CompareOnly => {
                if entry.compare.is_none() && !server.config.compare_any_batch {
                    return Err(no_compare_batch());
                }
                Some(CompareLimits {
                    terms: entry.compare,
                    session: Some(entry.name.session.clone()),
                    name: entry.name.to_string(),
                    created: entry.created,
                    veil,
                })
            }
        };
        let model = entry.model.clone();
        Ok(Self { model, limits })
    }

    /// A network sent along.
    pub fn inline(server: &Server, model: AnyModel) -> Self {
        let limits = server.config.compare_only.then(|| CompareLimits {
            terms: None,
            session: None,
            name: String::new(),
            created: UNIX_EPOCH,
            veil: server.grading.veil,
        });
        Self { model, limits }
    }
}

impl CompareLimits {
    /// Refuses another batch than the one that was fixed.
    ///
    /// # Errors
    /// It is another one.
    pub fn check_batch(&self, batch: &Batch<f64>) -> Result<(), Violations> {
        let mut violations = Violations::new();
        let fixed = self.terms.map(|terms| terms.batch);
        if fixed.is_some_and(|fixed| fixed != batch_digest(batch)) {
            let allowed = "the inputs and targets that this COMPARE_ONLY model was made to be compared on, number by number";
            violations.add("inputs", "another batch", allowed);
        }
        violations.into_result(Some(()))
    }

    /// The digest of the reference's weights as a reply shows it.
    pub fn digest(&self, digest: WeightsDigest) -> String {
        self.veil.keyed(&self.name, self.created, digest)
    }

    /// Counts a try before it is answered, for good where sessions are kept on disk, and tells how many are left.
    ///
    /// # Errors
    /// None is left; the disk refuses.
    pub async fn count_try(&self, server: &Server) -> Result<u64, Status> {
        match &self.session {
            Some(session) => server.count_compare_try(session).await,
            None => server.grading.inline_tries.count(
                telemetry::caller().origin,
                server.config.max_compare_tries_per_session,
            ),
        }
    }
}

impl Server {
    /// Counts a comparison with a model of the session for good, and tells how many are left.
    ///
    /// # Errors
    /// None is left; the disk refuses.
    pub async fn count_compare_try(&self, session: &SessionName) -> Result<u64, Status> {
        let limit = self.config.max_compare_tries_per_session;
        let left = self
            .registry()
            .count_compare_try(session, limit, self.now())?;
        self.keep_session(session).await?;
        Ok(left)
    }
}

/// Tries of callers that name no session, by their address, until the server stops.
#[derive(Debug, Default)]
pub struct InlineTries(Mutex<HashMap<Party, u64>>);

impl InlineTries {
    fn count(&self, origin: Party, limit: u64) -> Result<u64, Status> {
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
            return Err(limited("QUOTA", setting, limit, &message));
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
