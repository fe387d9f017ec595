//! Limits the number of open streams of each party.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::host::party::Party;
use crate::host::refused::Refused;

/// Stream slots with a limit for each party.
#[derive(Debug)]
pub struct StreamSlots {
    taken: Mutex<HashMap<Party, usize>>,
    limit: usize,
    setting: &'static str,
}

/// A stream slot; released when dropped.
#[derive(Debug)]
pub struct StreamSlot {
    slots: Arc<StreamSlots>,
    party: Party,
}

impl StreamSlots {
    /// Allows `limit` streams for each party; `setting` names the limit in refusals.
    pub fn new(limit: usize, setting: &'static str) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            limit,
            setting,
        })
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// The party has no slot left.
    pub fn take(self: &Arc<Self>, party: Party) -> Result<StreamSlot, Refused> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(party).or_default();
        if *count >= self.limit {
            let what = "this session has too many streams open";
            return Err(Refused::queue_full(self.setting, self.limit, what));
        }
        *count += 1;
        Ok(StreamSlot {
            slots: Arc::clone(self),
            party,
        })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut taken = self
            .slots
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.party) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_party_has_its_own_places_and_none_are_kept_for_nothing() {
        let slots = StreamSlots::new(2, "max_streams_per_session");
        let [one, other] = [Party(1), Party(2)];
        let held: Vec<_> = (0..2).map(|_| slots.take(one).expect("free")).collect();
        assert!(slots.take(one).is_err());
        let theirs = slots.take(other).expect("their own");
        drop(held);
        slots.take(one).expect("free again");
        drop(theirs);
        assert!(slots.taken.lock().expect("unpoisoned").is_empty());
    }
}
