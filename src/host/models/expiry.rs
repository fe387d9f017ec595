//! Eviction and expiry of idle sessions: their models leave memory, later the session moves to the trash, and finally
//! it is removed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::host::Host;
use crate::host::models::handle::ModelEntry;
use crate::host::models::session_turns::SessionTurn;
use crate::host::models::write_turn::WriteTurn;
use crate::host::refused::NotStored;
use crate::host::tags::SessionTag;
use crate::training::SessionName;

/// Interval between two searches for expired and idle sessions. Until then, expired sessions still occupy their names
/// and quotas, although calls no longer find them.
const RETIRE_EVERY: Duration = Duration::from_secs(1);

/// Number of steps in which the retention time in the trash is counted down.
const TRASH_TICKS: u64 = 24;

/// Most session tags in one log line.
const TAGS: usize = 20;

impl Host {
    /// Moves expired sessions to the trash, empties it, and evicts the models of idle sessions; runs forever.
    pub async fn retire(self: &Arc<Self>) {
        let idle = Duration::from_secs(self.config.evict_after_seconds);
        let trash_every = Duration::from_secs((self.config.trash_seconds / TRASH_TICKS).max(1));
        loop {
            tokio::time::sleep(RETIRE_EVERY).await;
            self.expire().await;
            self.age_trash(trash_every).await;
            self.datasets.close_idle(idle);
            if self.persistence.is_on() {
                let evicted = self.registry().evict(idle, self.now(), |entry| {
                    let may_leave = entry.may_leave_memory();
                    if may_leave {
                        let (name, created) = (&entry.name, entry.created);
                        self.runs.note_evicted(name, created, &entry.runs);
                    }
                    may_leave
                });
                if evicted > 0 {
                    tracing::debug!(models = evicted, "idle models left memory");
                }
            }
        }
    }

    /// Moves expired sessions to the trash.
    pub async fn expire(&self) {
        let expired = self.registry().expired(self.now());
        if expired.is_empty() {
            return;
        }
        if self.persistence.shared().is_some() {
            self.forget_unused(expired).await;
            return;
        }
        let tags = expired.iter().take(TAGS);
        let tags: Vec<_> = tags.map(|name| SessionTag(name).to_string()).collect();
        let count = expired.len();
        tracing::info!(
            sessions = count,
            ?tags,
            "sessions expire; `backpropd trash restore` restores them"
        );
        for name in expired {
            tracing::debug!(%name, tag = %SessionTag(&name), "a session expires");
            if let Err(not_stored) = self.expire_session(&name).await {
                let session = SessionTag(&name);
                tracing::error!(%session, ?not_stored, "an expired session cannot be moved yet");
            }
        }
    }

    async fn expire_session(&self, name: &SessionName) -> Result<(), NotStored> {
        // From here on, calls neither find the session nor add to it.
        let Ok(models) = self.registry().close_session(name) else {
            return Ok(());
        };
        let moved = self.move_to_trash(name, &models).await;
        let mut registry = self.registry();
        match moved {
            Ok(_turns) => {
                let _ = registry.delete_session(name);
                self.runs.forget_session(name);
                self.datasets.remove_session(name);
                Ok(())
            }
            Err(not_stored) => {
                for entry in models.iter().filter(|entry| entry.deleted.is_cancelled()) {
                    registry.replace_model(&entry.name, Arc::new(entry.revived()));
                }
                registry.reopen_session(name);
                Err(not_stored)
            }
        }
    }

    /// Moves a session that calls no longer find to the trash, with everything that was acknowledged. Returns the turns
    /// to change it and its models.
    async fn move_to_trash(
        &self,
        name: &SessionName,
        models: &[Arc<ModelEntry>],
    ) -> Result<(Vec<Arc<WriteTurn>>, Arc<SessionTurn>), NotStored> {
        let mut turns = Vec::with_capacity(models.len());
        if self.persistence.is_on() {
            for entry in models {
                turns.push(self.file_expired(entry).await?);
            }
        }
        for entry in models {
            entry.deleted.cancel();
        }
        let seconds = match self.config.trash_seconds {
            0 => 0,
            // The next count-down subtracts the uptime since the last one, which this session did not spend in the
            // trash.
            seconds => seconds + self.trash_uncounted().as_secs(),
        };
        let turn = self.session_turns.take(name).await;
        self.persistence.trash_session(name, seconds).await?;
        Ok((turns, turn))
    }

    /// The uptime not yet counted down for the trash.
    fn trash_uncounted(&self) -> Duration {
        let counted = self.trash_counted.lock();
        let counted = *counted.unwrap_or_else(PoisonError::into_inner);
        self.now().uptime.saturating_sub(counted)
    }

    /// Counts down the uptime since the last count for the trash, if it is at least `every`.
    pub async fn age_trash(&self, every: Duration) {
        let uptime = self.now().uptime;
        let passed = {
            let mut counted = self
                .trash_counted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let passed = uptime.saturating_sub(*counted);
            if passed < every || !self.persistence.is_on() {
                return;
            }
            // The fraction of a second is counted next time.
            let passed = Duration::from_secs(passed.as_secs());
            *counted += passed;
            passed
        };
        match self.persistence.age_trash(passed.as_secs()).await {
            Ok(0) => {}
            Ok(sessions) => tracing::info!(sessions, "expired sessions left the trash"),
            Err(not_stored) => tracing::error!(?not_stored, "the trash cannot be emptied yet"),
        }
    }
}
