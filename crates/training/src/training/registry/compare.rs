//! Comparisons with COMPARE_ONLY models, counted per session.

use super::Registry;
use crate::training::names::SessionName;
use crate::training::quota::{Quota, RegistryError};
use crate::training::session::Now;

impl<M> Registry<M> {
    /// Counts a comparison with a COMPARE_ONLY model of the session, renews its lease, and returns the number of
    /// comparisons left. The count is part of the session's record, which has to be persisted before the comparison is
    /// answered.
    ///
    /// # Errors
    /// An unknown session, or `limit` comparisons have been counted.
    pub fn count_compare_try(
        &mut self,
        name: &SessionName,
        limit: u64,
        now: Now,
    ) -> Result<u64, RegistryError> {
        let session = self.renew(name, now)?;
        if session.compare_tries >= limit {
            return Err(RegistryError::Quota {
                quota: Quota::CompareTries,
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
            });
        }
        session.compare_tries += 1;
        session.is_stored = false;
        Ok(limit - session.compare_tries)
    }
    /// Adds the comparisons that other servers have counted: the stored record had `base` when this server last read it,
    /// and has `stored` now.
    pub fn rebase_compare_tries(&mut self, name: &SessionName, base: u64, stored: u64) {
        if let Some(session) = self.sessions.get_mut(name) {
            let own = session.compare_tries.saturating_sub(base);
            session.compare_tries = stored.saturating_add(own);
        }
    }
}
