//! Finds the models that exceed a limit lowered after their creation: the newest ones beyond the limit.

use std::collections::BTreeMap;

use super::{RegisteredModel, Registry};
use crate::training::names::{Id, ModelName};
use crate::training::quota::{Limit, OverLimit, Quota};

/// The models of one session, or all models, in the order of their creation.
type Ordered<'a, M> = Vec<&'a mut RegisteredModel<M>>;

impl<M> Registry<M> {
    /// The limit that the model exceeds, if any.
    pub fn over_limit(&self, name: &ModelName) -> Option<OverLimit> {
        let session = self.sessions.get(&name.session)?;
        session.models.get(&name.model)?.over
    }

    /// Finds again which models exceed a limit, after startup and whenever capacity is freed.
    pub fn find_over_limits(&mut self) {
        let limits = self.limits;
        let is_over = self.sessions.len() > limits.sessions
            || self.models > limits.models
            || self.bytes > limits.bytes
            || self.sessions.values().any(|session| {
                session.models.len() > limits.models_per_session
                    || session.bytes > limits.bytes_per_session
            });
        // Both ways: a model that exceeded a limit may fit again.
        if !is_over && !self.is_over {
            return;
        }
        self.is_over = is_over;
        let count = self.sessions.len();
        let mut sessions: Vec<_> = self.sessions.values_mut().collect();
        sessions.sort_by_key(|session| session.created);
        let mut all = Vec::with_capacity(self.models);
        for (at, session) in sessions.into_iter().enumerate() {
            let over = (at >= limits.sessions).then_some(OverLimit {
                limit: Limit::Quota(Quota::Sessions),
                found: count,
                allowed: limits.sessions,
            });
            let mut models = in_order(&mut session.models);
            for held in &mut models {
                held.over = over;
            }
            mark(
                &mut models,
                Quota::ModelsPerSession,
                limits.models_per_session,
            );
            mark(
                &mut models,
                Quota::BytesPerSession,
                limits.bytes_per_session,
            );
            all.extend(models);
        }
        all.sort_by_key(|held| held.created);
        mark(&mut all, Quota::Models, limits.models);
        mark(&mut all, Quota::Bytes, limits.bytes);
    }
}

fn in_order<M>(models: &mut BTreeMap<Id, RegisteredModel<M>>) -> Ordered<'_, M> {
    let mut models: Vec<_> = models.values_mut().collect();
    // The sort is stable, so models of the same time stay in the order of their ids.
    models.sort_by_key(|held| held.created);
    models
}

/// Marks every model that takes the running total above the limit.
fn mark<M>(models: &mut Ordered<'_, M>, quota: Quota, allowed: usize) {
    let counted = |held: &RegisteredModel<M>| match quota {
        Quota::Bytes | Quota::BytesPerSession | Quota::BytesPerAddress => held.bytes,
        Quota::Sessions
        | Quota::SessionsPerAddress
        | Quota::Models
        | Quota::ModelsPerSession
        | Quota::ModelsPerAddress
        | Quota::CompareTries => 1,
    };
    let found = models.iter().map(|held| counted(held)).sum();
    let mut sum = 0_usize;
    for held in models {
        sum = sum.saturating_add(counted(held));
        if sum > allowed && held.over.is_none() {
            held.over = Some(OverLimit {
                limit: Limit::Quota(quota),
                found,
                allowed,
            });
        }
    }
}
