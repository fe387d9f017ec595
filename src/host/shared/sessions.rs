//! Sessions of the shared store: found, looked at again, written, deleted.

use backpropd_bucket::{Commit, Create, Object, Read};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{AT_ONCE, SharedStore, lease, unknown, unreachable};
use crate::host::Host;
use crate::host::party::Party;
use crate::host::refused::{NotStored, Refused};
use crate::training::{RecordError, SessionName, SessionRecord};

impl Host {
    /// Makes this node's copy of a session current, if it shares them with other nodes.
    ///
    /// # Errors
    /// The store cannot be reached, and the copy is older than `store_trust_seconds`.
    pub async fn sync_session(&self, name: &SessionName) -> Result<(), Refused> {
        let Some(shared) = self.persistence.shared() else {
            return Ok(());
        };
        if self.has_fresh_session(shared, name) {
            if shared.is_ageing(name) {
                shared.ahead.note(name);
            }
            return Ok(());
        }
        // A session that is being created, written or deleted is left alone.
        let _turn = self.session_turns.take(name).await;
        if self.has_fresh_session(shared, name) {
            return Ok(());
        }
        self.look_at_session(shared, name).await
    }

    /// [`Host::sync_session`] for a caller that holds the session's turn, and a copy of any age.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn sync_session_in_turn(&self, name: &SessionName) -> Result<(), Refused> {
        match self.persistence.shared() {
            Some(shared) => self.look_at_session(shared, name).await,
            None => Ok(()),
        }
    }

    /// Looks at sessions in use before their copies are too old, so that no call waits for it. Never returns.
    pub(super) async fn look_ahead(&self, shared: &SharedStore) {
        loop {
            stream::iter(shared.ahead.take().await)
                .for_each_concurrent(AT_ONCE, |name| async move {
                    let _turn = self.session_turns.take(&name).await;
                    if shared.is_ageing(&name) {
                        // A failure is logged there, and a call that still needs the session looks itself.
                        let _ = self.look_at_session(shared, &name).await;
                    }
                })
                .await;
        }
    }

    fn has_fresh_session(&self, shared: &SharedStore, name: &SessionName) -> bool {
        let copy = shared.session(name);
        copy.is_some_and(|copy| copy.checked.is_fresh(shared.trust))
            && self.registry().has_live_session(name, self.now())
    }

    async fn look_at_session(
        &self,
        shared: &SharedStore,
        name: &SessionName,
    ) -> Result<(), Refused> {
        let copy = shared.session(name);
        let before = copy.as_ref().map(|copy| &copy.seen);
        let (id, sent) = (name.0.to_string(), Instant::now());
        let read = shared.bucket.read_session(&id, before);
        let read = shared.within_reach(read).await?;
        match read.map_err(|error| unreachable(&error))? {
            Read::Unchanged => {
                if let Some(copy) = copy {
                    copy.checked.note(sent);
                    self.adopt_session(name, copy.record.clone());
                }
            }
            Read::Found(object) => {
                let is_other = copy
                    .as_ref()
                    .is_some_and(|copy| copy.seen.mark.generation != object.seen.mark.generation);
                if is_other {
                    self.forget_session(name);
                }
                let base = copy.filter(|_| !is_other);
                let base = base.map_or(0, |copy| copy.record.compare_tries);
                self.take_session(shared, name, object, base, sent);
            }
            Read::Missing => self.forget_session(name),
        }
        Ok(())
    }

    fn take_session(
        &self,
        shared: &SharedStore,
        name: &SessionName,
        object: Object,
        base: u64,
        sent: Instant,
    ) {
        match SessionRecord::from_bytes(&object.bytes, name) {
            Ok(read) => {
                let record = read.record;
                let is_known = self.registry().has_session(name);
                if is_known {
                    let stored = record.compare_tries;
                    self.registry().rebase_compare_tries(name, base, stored);
                }
                shared.note_session(name, object.seen, record.clone(), sent);
                self.adopt_session(name, record);
            }
            Err(error @ (RecordError::Damaged(_) | RecordError::Version(_))) => {
                let (reason, now) = (error.to_string(), self.now());
                tracing::error!(%name, reason, "a session in the shared store cannot be used");
                self.registry()
                    .restore_damaged_session(name.clone(), reason, now);
            }
        }
    }

    /// Adds a session of the store to the registry, or renews it there.
    pub fn adopt_session(&self, name: &SessionName, record: SessionRecord) {
        let share = record.owner.as_deref();
        let share = share.map(|subject| Party::of_person(subject).0);
        self.registry()
            .share_session(name.clone(), record, share, self.now());
    }

    /// Drops this node's copy of a session that is gone from the store, with all that it has of its models.
    pub(super) fn forget_session(&self, name: &SessionName) {
        if let Some(shared) = self.persistence.shared() {
            shared.forget_session(name);
        }
        let mut registry = self.registry();
        for entry in registry.all_models(name) {
            entry.deleted.cancel();
        }
        // There may be none.
        let _ = registry.delete_session(name);
        drop(registry);
        self.runs.forget_session(name);
        self.datasets.remove_session(name);
    }
}

impl SharedStore {
    /// Whether there is a copy that will soon be too old: after three quarters of the time for which it is believed.
    fn is_ageing(&self, name: &SessionName) -> bool {
        let copy = self.session(name);
        copy.is_some_and(|copy| !copy.checked.is_fresh(self.trust * 3 / 4))
    }

    /// Writes a session's record. The caller holds the session's turn.
    ///
    /// # Errors
    /// Another node has created, changed or deleted the session; the store does not answer.
    pub async fn put_session(
        &self,
        name: &SessionName,
        record: &SessionRecord,
    ) -> Result<(), NotStored> {
        let id = name.0.to_string();
        let bytes = record
            .to_bytes(name)
            .map_err(|error| NotStored::of(&error.into()))?;
        let text = String::from_utf8(bytes).map_err(|_| NotStored::Failed)?;
        let sent = Instant::now();
        let seen = match self.session(name) {
            None => {
                let created = self.bucket.create_session(&id, &text, lease(record));
                match self.reached(created).await? {
                    Create::Created(seen) => seen,
                    Create::Taken(_) | Create::Overtaken(_) | Create::NoSession => {
                        return Err(NotStored::Moved);
                    }
                    Create::Unknown(error) => return Err(unknown(&error)),
                }
            }
            Some(copy) => {
                let committed = self
                    .bucket
                    .commit_session(&id, &copy.seen, &text, lease(record));
                match self.reached(committed).await? {
                    Commit::Stored(seen) => seen,
                    // Overtaken: durable, and what is on top of it has to be read.
                    Commit::Moved | Commit::Overtaken => return Err(NotStored::Moved),
                    Commit::Unknown(error) => return Err(unknown(&error)),
                }
            }
        };
        self.note_session(name, seen, record.clone(), sent);
        Ok(())
    }

    /// Deletes a session with its models and datasets.
    ///
    /// # Errors
    /// The store does not answer; retrying is safe.
    pub async fn delete_session(&self, name: &SessionName) -> Result<(), NotStored> {
        let Some(generation) = self.generation(name) else {
            return Ok(());
        };
        let id = name.0.to_string();
        let deleted = self.bucket.delete_session(&id, generation);
        let deleted = self.reached(deleted).await?;
        deleted.map_err(|error| unknown(&error))?;
        self.forget_session(name);
        Ok(())
    }
}
