//! Whether the shared store can be reached, and when to look.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// Interval between two looks while calls use the store. After the first call that follows a rest, a look comes as soon.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// What comes on top of it while no call uses the store: a request costs money.
const REST: Duration = Duration::from_millis(9_500);

/// Whether the store can be reached, for those who want to know of changes.
#[derive(Debug)]
pub(super) struct Reach {
    is_there: watch::Sender<bool>,
    /// Holds a permit when a call has used the store since the last look.
    used: Notify,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            is_there: watch::Sender::new(true),
            used: Notify::new(),
        }
    }
}

impl Reach {
    /// Whether the store can be reached, as of the last look.
    pub fn is_there(&self) -> bool {
        *self.is_there.borrow()
    }

    /// Records the result of a look.
    pub fn note(&self, is_there: bool) {
        self.is_there.send_replace(is_there);
    }

    /// Resolves when the store can be reached, or cannot.
    pub async fn until(&self, is_there: bool) {
        let mut reach = self.is_there.subscribe();
        // The sender is in `self`.
        let _ = reach.wait_for(|now| *now == is_there).await;
    }

    /// A call uses the store.
    pub fn note_use(&self) {
        self.used.notify_one();
    }

    /// Resolves when it is time to look again at a store that was there.
    pub async fn is_due(&self) {
        let _ = timeout(REST, self.used.notified()).await;
        sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    async fn wait_of(reach: &Reach) -> Duration {
        let begun = Instant::now();
        reach.is_due().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_in_use_is_looked_at_twice_a_second_and_one_at_rest_seldom() {
        let reach = Reach::default();
        assert_eq!(wait_of(&reach).await, Duration::from_secs(10));
        reach.note_use();
        assert_eq!(wait_of(&reach).await, EVERY);
        assert_eq!(wait_of(&reach).await, Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_call_after_a_rest_brings_the_look_forward() {
        let reach = Reach::default();
        let call = async {
            sleep(Duration::from_secs(4)).await;
            reach.note_use();
        };
        let (wait, ()) = tokio::join!(wait_of(&reach), call);
        assert_eq!(wait, Duration::from_secs(4) + EVERY);
    }
}
