//! What a node does for the shared store beside its calls: renews the leases of the sessions that it serves, forgets those
//! that it no longer serves, and removes what has expired.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{AT_ONCE, SharedStore, reach};
use crate::host::Host;
use crate::host::refused::{NotStored, Refused};
use crate::host::tags::SessionTag;
use crate::training::SessionName;

/// Interval between two looks at the leases.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The longest time for an answer to a look whether the store is there, and the pause after the first that failed: a node
/// has to notice within three seconds that it is cut off.
const REACH_WITHIN: Duration = Duration::from_millis(700);
const REACH_AGAIN: Duration = Duration::from_millis(100);

/// So many looks in a row have to fail.
const REACH_FAILURES: usize = 2;

/// What such a look reads: no session has this name, since names of sessions are lower-case.
const NOTHING: &str = "REACH";

/// A lease is renewed in the store after this part of the session's time to live.
const PARTS_OF_TTL: u32 = 8;

impl Host {
    /// Keeps the leases of the sessions that this node serves, and removes what has expired. Never returns.
    pub async fn tend_shared(&self) {
        let Some(shared) = self.persistence.shared() else {
            return std::future::pending().await;
        };
        tokio::join!(
            self.tend_leases(shared),
            self.look_ahead(shared),
            sweep(shared),
            shared.tend_reach()
        );
    }

    /// Resolves when the shared store can be reached (true), or cannot (false). Never resolves on a node that shares none.
    pub async fn shared_store_is(&self, is_there: bool) {
        match self.persistence.shared() {
            Some(shared) => shared.reach.until(is_there).await,
            None => std::future::pending().await,
        }
    }

    async fn tend_leases(&self, shared: &SharedStore) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let due = shared.due(|name| self.registry().age(name, self.now()));
            stream::iter(due)
                .for_each_concurrent(AT_ONCE, |name| async move {
                    self.renew_lease(shared, &name).await;
                })
                .await;
        }
    }

    async fn renew_lease(&self, shared: &SharedStore, name: &SessionName) {
        let _turn = self.session_turns.take(name).await;
        let Some(copy) = shared.session(name) else {
            return;
        };
        match shared.put_session(name, &copy.record).await {
            Ok(()) => {}
            // Another node has renewed it, counted a comparison or deleted it: the next call looks.
            Err(NotStored::Moved) => {
                // Logged where it fails.
                let _ = self.sync_session_in_turn(name).await;
            }
            Err(not_stored) => {
                let session = SessionTag(name);
                tracing::warn!(%session, ?not_stored, "a session's lease cannot be renewed yet");
            }
        }
    }

    /// Drops this node's copies of sessions that it has not served for their time to live. Another node may serve them.
    pub async fn forget_unused(&self, expired: Vec<SessionName>) {
        for name in expired {
            let _turn = self.session_turns.take(&name).await;
            let registry = self.registry();
            let is_live = registry.has_live_session(&name, self.now());
            let models = registry.all_models(&name);
            let is_in_use = models.iter().any(|entry| !entry.may_leave_memory());
            drop(registry);
            if is_live || is_in_use {
                continue;
            }
            for entry in models {
                entry.note_moved();
            }
            self.forget_session(&name);
        }
    }
}

impl SharedStore {
    /// Looks now and then whether the store is there. Never returns.
    async fn tend_reach(&self) {
        let mut failures = 0;
        loop {
            match (failures, self.reach.is_there()) {
                (0, _) => self.reach.is_due().await,
                (_, true) => tokio::time::sleep(REACH_AGAIN).await,
                (_, false) => tokio::time::sleep(reach::EVERY).await,
            }
            let look = self.bucket.read_session(NOTHING, None);
            let answer = tokio::time::timeout(REACH_WITHIN, look).await;
            let is_reached = matches!(answer, Ok(Ok(_)));
            failures = if is_reached { 0 } else { failures + 1 };
            let was = self.reach.is_there();
            if was && failures >= REACH_FAILURES {
                tracing::error!(
                    "the shared store cannot be reached: this node is not ready until it can"
                );
                self.reach.note(false);
            } else if !was && is_reached {
                tracing::info!("the shared store can be reached again");
                self.reach.note(true);
            }
        }
    }

    /// The sessions whose lease is to be renewed: used since it was renewed last, which is an eighth of the time to live
    /// ago. `age` says how long a session has been without a call.
    fn due(&self, age: impl Fn(&SessionName) -> Option<Duration>) -> Vec<SessionName> {
        // Few are due, so that the lock is short, and `age` is asked without it.
        let waiting: Vec<(SessionName, Duration)> = {
            let sessions = self.sessions();
            let since = sessions
                .iter()
                .map(|(name, copy)| (name, copy.leased.elapsed(), copy.record.ttl));
            since
                .filter(|(_, since, ttl)| *since >= *ttl / PARTS_OF_TTL)
                .map(|(name, since, _)| (name.clone(), since))
                .collect()
        };
        let due = { waiting.into_iter() }
            .filter(|(name, since)| age(name).is_some_and(|age| age < *since));
        due.map(|(name, _)| name).collect()
    }

    /// Removes what has expired by this time.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn sweep_at(&self, now: SystemTime) -> Result<(), Refused> {
        let swept = self.bucket.sweep(now).await.map_err(|error| {
            tracing::warn!(%error, "the shared store cannot be swept now");
            Refused::Unreachable
        })?;
        if swept.unreadable > 0 {
            let sessions = swept.unreadable;
            tracing::warn!(
                sessions,
                "the shared store has sessions with objects that this program cannot read: they are not swept"
            );
        }
        tracing::debug!(?swept, "the shared store was swept");
        Ok(())
    }
}

/// Removes what has expired from the store, now and then. Never returns.
async fn sweep(shared: &SharedStore) {
    let mut next = Instant::now() + shared.sweep_every;
    loop {
        tokio::time::sleep_until(next).await;
        // Logged where it fails.
        let _ = shared.sweep_at(SystemTime::now()).await;
        next = Instant::now() + shared.sweep_every;
    }
}
