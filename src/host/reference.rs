//! What gradients are graded against: whose access is limited, on which terms a model is compared with, and how often.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Host;
use super::caller::Caller;
use super::models::any_model::AnyModel;
use super::models::handle::ModelEntry;
use super::refused::Refused;
use super::veil::Veil;
use crate::fault::Violations;
use crate::nn::{Batch, WeightsDigest};
use crate::training::{Access, CompareTerms, SessionName, batch_digest};

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
    pub fn named(host: &Host, entry: &ModelEntry) -> Result<Self, Refused> {
        let veil = host.grading.veil;
        let limits = match veil.access(entry) {
            Access::Full => None,
            Access::CompareOnly => {
                if entry.compare.is_none() && !host.config.compare_any_batch {
                    return Err(Refused::NoCompareBatch);
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
    pub fn inline(host: &Host, model: AnyModel) -> Self {
        let limits = host.config.compare_only.then(|| CompareLimits {
            terms: None,
            session: None,
            name: String::new(),
            created: UNIX_EPOCH,
            veil: host.grading.veil,
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
    pub async fn count_try(&self, host: &Host, caller: &Caller) -> Result<u64, Refused> {
        match &self.session {
            Some(session) => host.count_compare_try(session).await,
            None => host.grading.inline_tries.count(
                caller.parties().origin,
                host.config.max_compare_tries_per_session,
            ),
        }
    }
}

impl Host {
    /// Counts a comparison with a model of the session for good, and tells how many are left.
    ///
    /// # Errors
    /// None is left; the disk refuses.
    pub async fn count_compare_try(&self, session: &SessionName) -> Result<u64, Refused> {
        let limit = self.config.max_compare_tries_per_session;
        let left = self
            .registry()
            .count_compare_try(session, limit, self.now())?;
        self.keep_session(session).await?;
        Ok(left)
    }
}
