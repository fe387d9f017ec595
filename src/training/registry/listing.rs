//! The models that are in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Registry;
use crate::training::names::SessionName;

impl<M> Registry<M> {
    /// All models of a session that are in memory; does not renew it.
    pub fn all_models(&self, session: &SessionName) -> Vec<Arc<M>> {
        let models = self.sessions.get(session).map(|session| &session.models);
        models
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter_map(|held| held.model.clone())
            .collect()
    }

    /// All models of all sessions that are in memory; renews none.
    pub fn every_model(&self) -> Vec<Arc<M>> {
        let models = self
            .sessions
            .values()
            .flat_map(|session| session.models.values());
        models.filter_map(|held| held.model.clone()).collect()
    }
}
