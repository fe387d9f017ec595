//! How much of something each party has under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;

use super::caller::Party;
use super::status::queue_full;

/// Places that parties take, each up to a limit.
#[derive(Debug)]
pub struct Places {
    taken: Mutex<HashMap<Party, usize>>,
    limit: usize,
    setting: &'static str,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    party: Party,
}

impl Places {
    /// `limit` for each party, as `setting` says.
    pub fn new(limit: usize, setting: &'static str) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            limit,
            setting,
        })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// The party has taken all of its own.
    pub fn take(self: &Arc<Self>, party: Party) -> Result<Place, Status> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(party).or_default();
        if *count >= self.limit {
            let what = "this session has too many streams open";
            return Err(queue_full(self.setting, self.limit, what));
        }
        *count += 1;
        Ok(Place {
            places: Arc::clone(self),
            party,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self
            .places
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
        let places = Places::new(2, "max_streams_per_session");
        let [one, other] = [Party(1), Party(2)];
        let held: Vec<_> = (0..2).map(|_| places.take(one).expect("free")).collect();
        assert!(places.take(one).is_err());
        let theirs = places.take(other).expect("their own");
        drop(held);
        places.take(one).expect("free again");
        drop(theirs);
        assert!(places.taken.lock().expect("unpoisoned").is_empty());
    }
}
