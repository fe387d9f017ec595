//! The memory of one call, or of a part of it.

use std::sync::Arc;

use super::{Account, OutOfMemory, SMALL, Which};

/// Memory that is held; given back when dropped.
#[derive(Debug, Default)]
pub struct Reservation {
    small: usize,
    large: usize,
    /// Bytes of the small ones that nothing has used yet.
    spare: usize,
    account: Option<Arc<Account>>,
}

impl Reservation {
    /// None of this account's memory yet.
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self {
            account: Some(account),
            ..Self::default()
        }
    }

    /// The same, of which so many bytes are to spare.
    pub(super) fn with_spare(mut self, spare: usize) -> Self {
        self.spare = spare.min(self.small);
        self
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.small + self.large
    }

    /// Holds `bytes` more.
    ///
    /// # Errors
    /// There are not so many left; the reservation stays as it is.
    pub fn extend(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if self.use_spare(bytes) {
            return Ok(());
        }
        let Some(account) = &self.account else {
            return Ok(());
        };
        if self.bytes().saturating_add(bytes) <= SMALL && account.take(Which::Small, bytes).is_ok()
        {
            self.small += bytes;
            return Ok(());
        }
        account
            .take(Which::Large, bytes)
            .map_err(|whose| OutOfMemory {
                whose,
                asked: bytes,
                needed: self.bytes().saturating_add(bytes),
                most: account.most_of_one(),
                limit: account.limit(),
            })?;
        self.large += bytes;
        Ok(())
    }

    /// Uses `bytes` that are held to spare; `false` where there are fewer.
    pub fn use_spare(&mut self, bytes: usize) -> bool {
        let left = self.spare.checked_sub(bytes);
        self.spare = left.unwrap_or(self.spare);
        left.is_some()
    }

    /// Holds `bytes` in all, if it holds fewer.
    ///
    /// # Errors
    /// As above.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.spare = 0;
        self.extend(bytes.saturating_sub(self.bytes()))
    }

    /// Gives back what it holds beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let beyond = self.bytes().saturating_sub(bytes);
        if beyond > 0 {
            self.shrink(beyond);
        }
    }

    /// Whether it belongs to an account; without one nothing is counted.
    pub fn is_counted(&self) -> bool {
        self.account.is_some()
    }

    /// Gives `bytes` of it back, or all where it holds fewer.
    pub fn shrink(&mut self, bytes: usize) {
        let Some(account) = &self.account else {
            return;
        };
        let large = bytes.min(self.large);
        let small = (bytes - large).min(self.small);
        account.give_back(Which::Large, large);
        account.give_back(Which::Small, small);
        self.large -= large;
        self.small -= small;
        self.spare = self.spare.min(self.small);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.give_back(Which::Small, self.small);
            account.give_back(Which::Large, self.large);
        }
    }
}
