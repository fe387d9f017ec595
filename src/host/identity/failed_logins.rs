//! How often an address may fail to log in. Guessing a secret is hopeless in any case; this keeps a client that tries from
//! filling the log, and tells one that is set up wrongly to slow down.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::host::party::Party;

/// Failures in a row before the limit takes effect.
const BURST: f64 = 20.0;

/// Failures a second after that.
const RATE: f64 = 1.0;

/// Addresses that are remembered. When there are more, those that have not failed lately are forgotten, or else all.
const REMEMBERED: usize = 4_096;

/// A bucket of failures that an address has left.
#[derive(Clone, Copy, Debug)]
struct Left {
    failures: f64,
    at: Duration,
}

impl Left {
    fn refilled(self, now: Duration) -> f64 {
        let waited = now.saturating_sub(self.at).as_secs_f64();
        waited.mul_add(RATE, self.failures).min(BURST)
    }
}

/// The failures of each address.
#[derive(Debug, Default)]
pub struct FailedLogins(Mutex<HashMap<Party, Left>>);

impl FailedLogins {
    /// Notes a failure. Returns the time to wait if the address has none left.
    pub fn note(&self, origin: Party, now: Duration) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED && !all.contains_key(&origin) {
            all.retain(|_, left| left.refilled(now) < BURST);
            if all.len() >= REMEMBERED {
                all.clear();
            }
        }
        let full = Left {
            failures: BURST,
            at: now,
        };
        let left = all.entry(origin).or_insert(full);
        let failures = left.refilled(now);
        *left = Left {
            failures: (failures - 1.0).max(0.0),
            at: now,
        };
        let short = 1.0 - failures;
        (short > 0.0).then(|| Duration::from_secs_f64(short / RATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let failed = FailedLogins::default();
        let (one, other) = (Party(1), Party(2));
        let at = Duration::from_secs;
        for _ in 0..20 {
            assert_eq!(failed.note(one, at(5)), None);
        }
        assert_eq!(failed.note(one, at(5)), Some(at(1)));
        assert_eq!(failed.note(other, at(5)), None);
        assert_eq!(failed.note(one, at(6)), None, "a second later");
        assert!(failed.note(one, at(6)).is_some());
        for _ in 0..20 {
            assert_eq!(failed.note(one, at(1_000)), None, "it has recovered");
        }
        assert!(failed.note(one, at(1_000)).is_some());
    }

    #[test]
    fn addresses_without_end_take_no_memory_without_end() {
        let failed = FailedLogins::default();
        for address in 0..100_000 {
            failed.note(Party(address), Duration::from_secs(1));
        }
        assert!(failed.0.lock().expect("not poisoned").len() <= REMEMBERED);
    }
}
