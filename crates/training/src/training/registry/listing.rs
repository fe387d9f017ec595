//! Lists of sessions, and of the models in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::{Registry, Session};
use crate::training::names::SessionName;
use crate::training::session::{Now, SessionInfo, SessionRecord};

impl<M> Registry<M> {
    /// At most `count` sessions after `after`, in the order of their names: all, or those of the person `owner`. Renews
    /// no lease.
    pub fn sessions(
        &self,
        owner: Option<&str>,
        after: Option<&SessionName>,
        count: usize,
        now: Now,
    ) -> Vec<SessionInfo> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.sessions
            .range((from, Bound::Unbounded))
            .filter(|(_, session)| session.damage.is_none())
            .filter(|(_, session)| owner.is_none() || session.subject().map(|it| &**it) == owner)
            .take(count)
            .map(|(name, session)| session.info(name.clone(), now))
            .collect()
    }

    /// The record of a session, unless that is damaged.
    pub fn record(&self, name: &SessionName) -> Option<SessionRecord> {
        let session = self.sessions.get(name);
        let sound = session.filter(|session| session.damage.is_none());
        sound.map(Session::record)
    }

    /// The sessions whose records are damaged, and how.
    pub fn damaged(&self) -> Vec<(SessionName, String)> {
        let damaged = self.sessions.iter().filter_map(|(name, session)| {
            let damage = session.damage.clone()?;
            Some((name.clone(), damage))
        });
        damaged.collect()
    }

    /// All models of a session that are in memory. Does not renew its lease.
    pub fn all_models(&self, session: &SessionName) -> Vec<Arc<M>> {
        let models = self.sessions.get(session).map(|session| &session.models);
        models
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter_map(|held| held.model.clone())
            .collect()
    }

    /// All models of all sessions that are in memory. Renews no lease.
    pub fn every_model(&self) -> Vec<Arc<M>> {
        let models = self
            .sessions
            .values()
            .flat_map(|session| session.models.values());
        models.filter_map(|held| held.model.clone()).collect()
    }
}

impl<M> Session<M> {
    /// How long the session survives without a call.
    pub(super) fn life(&self) -> Duration {
        if self.models.is_empty() && self.datasets == 0 {
            self.ttl.min(self.empty_ttl)
        } else {
            self.ttl
        }
    }

    pub(super) fn record(&self) -> SessionRecord {
        SessionRecord {
            made_by: self.made_by.clone(),
            created: self.created,
            ttl: self.ttl,
            access: self.access,
            compare_tries: self.compare_tries,
            owner: self.subject().cloned(),
        }
    }

    pub(super) fn info(&self, name: SessionName, now: Now) -> SessionInfo {
        let remaining = self.life().saturating_sub(self.age(now));
        SessionInfo {
            name,
            models: self.models.len(),
            created: self.created,
            expires: now.date.checked_add(remaining).unwrap_or(now.date),
            remaining,
            access: self.access,
            owner: self.subject().cloned(),
        }
    }

    /// The person who owns it.
    pub(super) fn subject(&self) -> Option<&Arc<str>> {
        self.owner.as_ref()?.subject.as_ref()
    }
}
