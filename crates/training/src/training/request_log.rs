//! The requests that changed a model and their outcomes, so that a repeated request gets the recorded answer and is not
//! executed twice.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A digest of everything that a request asks for, except its id.
pub type Fingerprint = [u8; 32];

/// The longest request id, in bytes.
pub const LONGEST_REQUEST_ID: usize = 128;

/// A request to execute at most once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// The id that the client chose.
    pub id: String,
    /// The digest of its content.
    pub fingerprint: Fingerprint,
}

/// The id was used before, for a different request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request_id {0:?} was used before for another request")]
pub struct RequestIdReused(pub String);

/// The latest requests and their outcomes; when the log is full, the oldest is dropped.
#[derive(Clone, Debug)]
pub struct RequestLog<O> {
    entries: VecDeque<(RequestId, O)>,
    capacity: usize,
}

impl<O: Clone> RequestLog<O> {
    /// An empty log of at most `capacity` requests.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            capacity,
        }
    }

    /// Whether the log holds a request with this id.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.iter().any(|(known, _)| known.id == id)
    }

    /// The outcome of `request`, if the log holds it.
    ///
    /// # Errors
    /// The id belongs to a request with different content.
    pub fn find(&self, request: &RequestId) -> Result<Option<O>, RequestIdReused> {
        match self
            .entries
            .iter()
            .find(|(known, _)| known.id == request.id)
        {
            None => Ok(None),
            Some((known, outcome)) if known.fingerprint == request.fingerprint => {
                Ok(Some(outcome.clone()))
            }
            Some(_) => Err(RequestIdReused(request.id.clone())),
        }
    }

    /// Every request in the log, oldest first.
    pub fn into_entries(self) -> Vec<(RequestId, O)> {
        self.entries.into()
    }

    /// Replaces the log with these entries, oldest first. Entries beyond the capacity stay: lowering the limit before a
    /// restart takes no recorded answer away.
    pub fn replace(&mut self, entries: Vec<(RequestId, O)>) {
        self.entries = entries.into();
    }

    /// Adds an entry from before the restart, beyond the capacity if need be, as [`RequestLog::replace`] does.
    pub fn restore(&mut self, request: RequestId, outcome: O) {
        self.entries.push_back((request, outcome));
    }

    /// Records the outcome of `request` as the newest entry, replacing an earlier one with its id. A log above its
    /// capacity drops two entries for each new one.
    pub fn record(&mut self, request: RequestId, outcome: O) {
        self.entries.retain(|(known, _)| known.id != request.id);
        for _ in 0..2 {
            if self.entries.len() >= self.capacity {
                self.entries.pop_front();
            }
        }
        if self.capacity > 0 {
            self.entries.push_back((request, outcome));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, content: u8) -> RequestId {
        RequestId {
            id: id.to_owned(),
            fingerprint: [content; 32],
        }
    }

    #[test]
    fn the_newest_outcomes_are_kept_and_other_content_is_refused() {
        let mut log = RequestLog::new(2);
        log.record(request("a", 1), 10);
        log.record(request("b", 2), 20);
        log.record(request("a", 1), 11);
        assert_eq!(log.find(&request("a", 1)), Ok(Some(11)));
        assert_eq!(log.find(&request("a", 9)), Err(RequestIdReused("a".into())));
        log.record(request("c", 3), 30);
        assert_eq!(
            log.find(&request("b", 2)),
            Ok(None),
            "the oldest note is forgotten"
        );
        assert_eq!(
            log.find(&request("a", 1)),
            Ok(Some(11)),
            "noted again, it was newer"
        );
    }

    #[test]
    fn a_lowered_capacity_forgets_nothing_by_itself_and_is_reached_by_new_requests() {
        let mut log = RequestLog::new(2);
        let entries = (0..5).map(|at| (request(&at.to_string(), 1), at)).collect();
        log.replace(entries);
        assert_eq!(log.find(&request("0", 1)), Ok(Some(0)));
        for new in ["a", "b", "c"] {
            log.record(request(new, 1), 9);
        }
        assert_eq!(log.into_entries().len(), 2);
    }
}
