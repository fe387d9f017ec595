//! Connections beyond the limit. They stay open for a moment, so that the client reads why it is refused, or the
//! server's health.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::transport::peer::Peer;

/// Connections beyond the limit at once; a further one replaces the oldest.
pub const MOST_STANDING: usize = 64;

/// How long such a connection stays open.
pub const STAY: Duration = Duration::from_secs(5);

/// The connections beyond the limit, oldest first, and those that were asked to leave.
#[derive(Default)]
pub struct Porch {
    standing: VecDeque<Weak<Peer>>,
    leaving: VecDeque<Weak<Peer>>,
}

impl Porch {
    /// Admits a connection beyond the limit. If there are too many, cuts off one that has sent nothing yet, or else the
    /// oldest.
    pub fn admit(&mut self, peer: &Arc<Peer>) {
        self.standing.retain(|other| other.strong_count() > 0);
        if self.standing.len() >= MOST_STANDING {
            let silent = self
                .standing
                .iter()
                .position(|other| other.upgrade().is_some_and(|other| !other.has_spoken()));
            let other = self.standing.remove(silent.unwrap_or(0));
            if let Some(other) = other.and_then(|other| other.upgrade()) {
                other.cut.cancel();
            }
        }
        self.standing.push_back(Arc::downgrade(peer));
    }

    /// Whether this connection may close gracefully; false while too many are doing so already.
    pub fn may_leave(&mut self, peer: &Arc<Peer>) -> bool {
        self.leaving.retain(|other| other.strong_count() > 0);
        let may = self.leaving.len() < MOST_STANDING;
        if may {
            self.leaving.push_back(Arc::downgrade(peer));
        }
        may
    }
}
