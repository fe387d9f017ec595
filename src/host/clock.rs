//! The clocks of the server. Code that measures or shows time is given a reading of them.
//!
//! The uptime is `std::time::Instant`, on Linux CLOCK_MONOTONIC: it never jumps, and it stands still while the machine
//! sleeps, so that a laptop that was closed over the weekend still has its sessions.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::training::Now;

/// The latest date that is believed, in seconds since 1970: the year 2514. Nanoseconds since 1970 fit into 64 bits until
/// then.
const LATEST: Duration = Duration::from_secs(1 << 34);

/// Where the server reads the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn of_the_machine() -> Self {
        let start = Instant::now();
        Self::from_fn(move || Now {
            uptime: start.elapsed(),
            date: SystemTime::now(),
        })
    }

    /// Clocks of the caller's own, for tests.
    pub fn from_fn(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now; the date between 1970 and 2514, whatever the machine's clock says.
    #[must_use]
    pub fn now(&self) -> Now {
        let Now { uptime, date } = (self.0)();
        Now {
            uptime,
            date: date.clamp(UNIX_EPOCH, UNIX_EPOCH + LATEST),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
