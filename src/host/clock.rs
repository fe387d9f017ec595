//! The server's clocks. Code that needs the time takes a reading as an argument.
//!
//! The uptime is `std::time::Instant`, on Linux CLOCK_MONOTONIC: it never jumps, and it pauses while the machine
//! sleeps, so sessions on a laptop survive a weekend with the lid closed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::training::Now;

/// The latest accepted date, in seconds since 1970: the year 2514. Up to then, nanoseconds since 1970 fit into 64
/// bits.
const LATEST: Duration = Duration::from_secs(1 << 34);

/// The source of time: the machine's clocks, or a test's.
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

    /// Clocks that call `read`, for tests.
    pub fn from_fn(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Reads the clocks. The date is clamped to the years 1970 to 2514.
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
