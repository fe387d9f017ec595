//! A connection as its calls see it: where it comes from, what it holds, whether it still takes what it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::host::limits::memory::Account;
use crate::host::models::creation_turns::OF_CONNECTION;
use crate::transport::source::Source;

/// The slowest that a message may travel, in bytes a second: a connection over which less arrives in `stall_seconds`,
/// or less is taken, counts as stalled.
pub const SLOWEST: usize = 2 << 10;

/// Ages that replies are told apart by: this one, the one before, older ones, and one that is free.
const AGES: usize = 4;

static NEXT_CALL: AtomicU64 = AtomicU64::new(1);

/// A number for a new call. The numbers serve as a clock, too: connections are compared by the last call before which
/// they fell idle.
pub fn next_call() -> u64 {
    NEXT_CALL.fetch_add(1, Ordering::Relaxed)
}

/// What is known of a call's connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it comes from.
    pub source: Source,
    /// The memory that its calls hold.
    pub account: Arc<Account>,
    /// Cuts it off.
    pub cut: CancellationToken,
    /// Asks it to leave: calls under way are finished.
    pub leave: CancellationToken,
    /// Whether it has begun to speak HTTP/2, or has ended.
    pub spoken: AtomicBool,
    /// Turns to create sessions and models.
    pub creation_turns: Arc<Semaphore>,
    /// Calls under way that do something.
    active: AtomicUsize,
    /// The next call's number when it fell idle.
    idle_since: AtomicU64,
    /// The age of replies that make progress now.
    age: AtomicU8,
    /// Pieces of replies that wait to be taken, by the age in which they last made progress.
    waiting: [AtomicUsize; AGES],
    /// Bytes of a piece that must be taken within an age.
    pace: usize,
}

impl Peer {
    /// A new connection, which has to take what it is sent within `stall`.
    pub fn new(source: Source, account: Arc<Account>, stall: Duration) -> Arc<Self> {
        Arc::new(Self {
            source,
            account,
            cut: CancellationToken::new(),
            leave: CancellationToken::new(),
            spoken: AtomicBool::new(false),
            creation_turns: Arc::new(Semaphore::new(OF_CONNECTION)),
            active: AtomicUsize::new(0),
            idle_since: AtomicU64::new(NEXT_CALL.load(Ordering::Relaxed)),
            age: AtomicU8::new(0),
            waiting: Default::default(),
            pace: pace(stall) / 2,
        })
    }

    /// Whether it has begun to speak HTTP/2, or has ended.
    pub fn has_spoken(&self) -> bool {
        self.spoken.load(Ordering::Relaxed)
    }

    /// When it fell idle, in calls; `None` while it has calls under way.
    pub fn idle_since(&self) -> Option<u64> {
        (self.active.load(Ordering::Relaxed) == 0).then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Notes that a call begins.
    pub fn call_begins(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// Called twice in `stall_seconds`. Returns whether a piece of a reply has waited for at least as long without
    /// progress.
    pub fn grow_older(&self) -> bool {
        let age = self.age.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Pieces of the age before have had between half of the time and all of it.
        let oldest = usize::from(age.wrapping_sub(3)) % AGES;
        self.waiting[oldest].load(Ordering::Relaxed) > 0
    }

    fn bucket(&self, age: u8) -> &AtomicUsize {
        &self.waiting[usize::from(age) % AGES]
    }
}

/// The bytes that have to pass within `stall`.
pub fn pace(stall: Duration) -> usize {
    let seconds = usize::try_from(stall.as_secs()).unwrap_or(usize::MAX);
    SLOWEST.saturating_mul(seconds)
}

/// A call under way, as far as its connection counts as busy.
#[derive(Debug)]
pub struct Active(Arc<Peer>);

impl Drop for Active {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::Relaxed) == 1 {
            let now = NEXT_CALL.load(Ordering::Relaxed);
            self.0.idle_since.store(now, Ordering::Relaxed);
        }
    }
}

/// A piece of a reply that waits to be taken.
#[derive(Debug)]
pub struct Waiting {
    peer: Arc<Peer>,
    age: u8,
    taken: usize,
}

impl Waiting {
    /// For `peer`, which is to take it.
    pub fn new(peer: Arc<Peer>) -> Self {
        let age = peer.age.load(Ordering::Relaxed);
        peer.bucket(age).fetch_add(1, Ordering::Relaxed);
        Self {
            peer,
            age,
            taken: 0,
        }
    }

    /// Notes that so many bytes are on their way.
    pub fn progress(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken < self.peer.pace {
            return;
        }
        self.taken = 0;
        let age = self.peer.age.load(Ordering::Relaxed);
        if age != self.age {
            self.peer.bucket(age).fetch_add(1, Ordering::Relaxed);
            self.peer.bucket(self.age).fetch_sub(1, Ordering::Relaxed);
            self.age = age;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.peer.bucket(self.age).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Arc<Peer> {
        let source = Source::new(1, ([127, 0, 0, 1], 1).into());
        let account = Account::of_server(1 << 20).of_connection(Arc::default());
        Peer::new(source, account, Duration::from_secs(1))
    }

    #[test]
    fn a_piece_that_makes_no_progress_is_noticed_and_one_that_does_is_not() {
        let peer = peer();
        assert!(!(0..10).any(|_| peer.grow_older()), "nothing waits");
        let mut piece = Waiting::new(Arc::clone(&peer));
        for _ in 0..10 {
            assert!(!peer.grow_older());
            piece.progress(SLOWEST / 2);
        }
        // Progress too slow is none.
        let noticed: Vec<_> = (0..4)
            .map(|_| {
                piece.progress(1);
                peer.grow_older()
            })
            .collect();
        assert_eq!(noticed.iter().position(|noticed| *noticed), Some(2));
        drop(piece);
        assert!(!(0..10).any(|_| peer.grow_older()), "it was taken");
    }

    #[test]
    fn a_connection_is_idle_while_no_call_is_under_way() {
        let peer = peer();
        let since = peer.idle_since().expect("no call yet");
        let call = peer.call_begins();
        assert_eq!(peer.idle_since(), None);
        next_call();
        drop(call);
        assert!(peer.idle_since().expect("over") > since);
    }
}
