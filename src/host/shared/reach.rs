//! Whether the shared store can be reached.

use tokio::sync::watch;

/// Whether the store can be reached, for those who want to know of changes.
#[derive(Debug)]
pub(super) struct Reach(watch::Sender<bool>);

impl Default for Reach {
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl Reach {
    /// Whether the store can be reached, as of the last look.
    pub fn is_there(&self) -> bool {
        *self.0.borrow()
    }

    /// Records the result of a look.
    pub fn note(&self, is_there: bool) {
        self.0.send_replace(is_there);
    }

    /// Resolves when the store can be reached, or cannot.
    pub async fn until(&self, is_there: bool) {
        let mut reach = self.0.subscribe();
        // The sender is in `self`.
        let _ = reach.wait_for(|now| *now == is_there).await;
    }
}
