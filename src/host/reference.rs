//! The reference that gradients are graded against: a model or an inline network, with its comparison limits.

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

/// A reference network and its comparison limits.
pub struct Reference {
    /// The network that computes the reference gradients.
    pub model: AnyModel,
    /// Limits on comparisons; `None` for a model with full access.
    pub limits: Option<CompareLimits>,
}

/// Limits on comparisons with a COMPARE_ONLY model.
pub struct CompareLimits {
    /// The terms fixed by the model's creator; `None` if the caller chooses the batch.
    pub terms: Option<CompareTerms>,
    /// The session whose tries are counted; `None` for an inline network, where tries are counted by address.
    session: Option<SessionName>,
    name: String,
    created: SystemTime,
    veil: Veil,
}

impl Reference {
    /// The reference for a model in a session.
    ///
    /// # Errors
    /// The model is COMPARE_ONLY and has no fixed batch.
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
        let model = entry.model.get();
        Ok(Self { model, limits })
    }

    /// The reference for an inline network.
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
    /// Checks that the batch is the one fixed by the model's creator.
    ///
    /// # Errors
    /// It is a different batch.
    pub fn check_batch(&self, batch: &Batch<f64>) -> Result<(), Violations> {
        let mut violations = Violations::new();
        let fixed = self.terms.map(|terms| terms.batch);
        if fixed.is_some_and(|fixed| fixed != batch_digest(batch)) {
            let allowed = "exactly the inputs and targets that were fixed when this COMPARE_ONLY model was created";
            violations.add("inputs", "a different batch", allowed);
        }
        violations.into_result(Some(()))
    }

    /// The weights digest for a reply.
    pub fn digest(&self, digest: WeightsDigest) -> String {
        self.veil.keyed(&self.name, self.created, digest)
    }

    /// Counts a try before it is answered and returns how many are left. The count is durable if sessions are
    /// persisted.
    ///
    /// # Errors
    /// No tries are left, or the disk write fails.
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
    /// Counts a comparison with a model of the session, durably, and returns how many are left.
    ///
    /// # Errors
    /// No tries are left, or the disk write fails.
    pub async fn count_compare_try(&self, session: &SessionName) -> Result<u64, Refused> {
        let limit = self.config.max_compare_tries_per_session;
        let left = self
            .registry()
            .count_compare_try(session, limit, self.now())?;
        self.keep_session(session).await?;
        Ok(left)
    }
}
