//! Lists of what is in the shared store.

use std::sync::Arc;

use backpropd_bucket::{Object, Read};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{SharedStore, unreachable};
use crate::host::Host;
use crate::host::refused::Refused;
use crate::training::{Id, SessionInfo, SessionName, SessionRecord};

/// Requests to the store at a time.
const AT_ONCE: usize = 8;

impl Host {
    /// At most `count` sessions after `after`: all, or those of the person `owner`. Renews no lease.
    ///
    /// # Errors
    /// The store that this node shares with others cannot be reached.
    pub async fn list_sessions(
        &self,
        owner: Option<&str>,
        after: Option<&SessionName>,
        count: usize,
    ) -> Result<Vec<SessionInfo>, Refused> {
        match self.persistence.shared() {
            None => Ok(self.registry().sessions(owner, after, count, self.now())),
            Some(shared) => self.list_shared(shared, owner, after, count).await,
        }
    }

    async fn list_shared(
        &self,
        shared: &SharedStore,
        owner: Option<&str>,
        after: Option<&SessionName>,
        count: usize,
    ) -> Result<Vec<SessionInfo>, Refused> {
        let mut found = Vec::new();
        let mut after = after.map(|after| after.0.to_string());
        while found.len() < count {
            let listed = shared.bucket.list_sessions(after.as_deref(), count).await;
            let listed = listed.map_err(|error| unreachable(&error))?;
            let is_last = listed.len() < count;
            after = listed.last().cloned();
            let infos: Vec<Option<SessionInfo>> = stream::iter(listed)
                .map(|id| self.shared_info(shared, id))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            let infos = infos.into_iter().flatten();
            found.extend(infos.filter(|it| owner.is_none() || it.owner.as_deref() == owner));
            if is_last {
                break;
            }
        }
        found.truncate(count);
        Ok(found)
    }

    /// A session of the store; `None` if it is gone meanwhile, or cannot be read.
    async fn shared_info(
        &self,
        shared: &SharedStore,
        id: String,
    ) -> Result<Option<SessionInfo>, Refused> {
        let Some(name) = Id::parse(&id).map(SessionName) else {
            return Ok(None);
        };
        let read = shared.bucket.read_session(&id, None).await;
        let Read::Found(Object { bytes, seen, lease }) =
            read.map_err(|error| unreachable(&error))?
        else {
            return Ok(None);
        };
        let Ok(read) = SessionRecord::from_bytes(&bytes, &name) else {
            return Ok(None);
        };
        let models = shared
            .bucket
            .list_models(&id, seen.mark.generation)
            .await
            .map_err(|error| unreachable(&error))?;
        let record = read.record;
        let now = self.now().date;
        let leased = lease.map_or(now, |lease| lease.at);
        let expires = leased.checked_add(record.ttl).unwrap_or(now);
        Ok(Some(SessionInfo {
            name,
            models: models.len(),
            created: record.created,
            expires,
            remaining: expires.duration_since(now).unwrap_or_default(),
            owner: record.owner.as_ref().map(Arc::clone),
            access: record.access,
        }))
    }

    /// Sets the number of a session's models to that in the store, if this node shares one.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn count_shared_models(&self, session: SessionInfo) -> Result<SessionInfo, Refused> {
        let models = match self.shared_models(&session.name).await? {
            Some(ids) => ids.len(),
            None => session.models,
        };
        Ok(SessionInfo { models, ..session })
    }
}
