//! A connection as its calls see it: its source, the memory it holds, and whether it still reads its replies.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::host::identity::{Certificate, LastLogin};
use crate::host::limits::memory::Account;
use crate::host::metrics::Counted;
use crate::host::models::creation_turns::OF_CONNECTION;
use crate::transport::source::Source;

/// The slowest allowed transfer, in bytes a second. A connection counts as stalled when less arrives, or is read, over
/// `stall_seconds`.
pub const SLOWEST: usize = 2 << 10;

/// Age buckets of waiting replies: the current one, the previous one, all older ones, and one free.
const AGES: usize = 4;

static NEXT_CALL: AtomicU64 = AtomicU64::new(1);

/// A number for a new call. The numbers also serve as a clock: idle connections are compared by the call number at
/// which they became idle.
pub fn next_call() -> u64 {
    NEXT_CALL.fetch_add(1, Ordering::Relaxed)
}

/// State of a connection, shared by its calls.
#[derive(Debug)]
pub struct Peer {
    /// The source of its calls.
    pub source: Source,
    /// The memory account of its calls.
    pub account: Arc<Account>,
    /// Cuts the connection off.
    pub cut: CancellationToken,
    /// Asks the connection to close once the calls in progress are finished.
    pub leave: CancellationToken,
    /// The client's certificate, if it presented one that was verified and names it.
    pub certificate: OnceLock<Certificate>,
    /// The last login of its calls.
    pub last_login: LastLogin,
    /// Whether the peer has begun to speak HTTP, or the connection has ended.
    pub spoken: AtomicBool,
    /// Turns to create sessions and models.
    pub creation_turns: Arc<Semaphore>,
    /// Calls in progress that keep the connection busy.
    active: AtomicUsize,
    /// The next call's number at the time the connection became idle.
    idle_since: AtomicU64,
    /// The age of replies that make progress now.
    age: AtomicU8,
    /// Pieces of replies that wait to be read, by the age in which they last made progress.
    waiting: [AtomicUsize; AGES],
    /// Bytes of a piece that have to be read within an age.
    pace: usize,
    counted: OnceLock<Counted>,
}

impl Peer {
    /// A new connection, which has to read its replies within `stall`.
    pub fn new(source: Source, account: Arc<Account>, stall: Duration) -> Arc<Self> {
        Arc::new(Self {
            source,
            account,
            cut: CancellationToken::new(),
            leave: CancellationToken::new(),
            certificate: OnceLock::new(),
            last_login: LastLogin::default(),
            spoken: AtomicBool::new(false),
            creation_turns: Arc::new(Semaphore::new(OF_CONNECTION)),
            active: AtomicUsize::new(0),
            idle_since: AtomicU64::new(NEXT_CALL.load(Ordering::Relaxed)),
            age: AtomicU8::new(0),
            waiting: Default::default(),
            pace: pace(stall) / 2,
            counted: OnceLock::new(),
        })
    }

    /// Whether the peer has begun to speak HTTP, or the connection has ended.
    pub fn has_spoken(&self) -> bool {
        self.spoken.load(Ordering::Relaxed)
    }

    /// Counts the connection in a gauge until it has ended.
    pub fn count_in(&self, gauge: &Gauge) {
        self.counted.get_or_init(|| Counted::new(gauge));
    }

    /// The call number at which the connection became idle; `None` while calls are in progress.
    pub fn idle_since(&self) -> Option<u64> {
        (self.active.load(Ordering::Relaxed) == 0).then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Counts a call that begins.
    pub fn call_begins(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// Called twice in `stall_seconds`. Returns whether a piece of a reply has waited at least that long without
    /// progress.
    pub fn grow_older(&self) -> bool {
        let age = self.age.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Pieces of the previous age have waited between half of the time and all of it.
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

/// A call in progress that keeps its connection busy.
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

/// A piece of a reply that waits to be read.
#[derive(Debug)]
pub struct Waiting {
    peer: Arc<Peer>,
    age: u8,
    taken: usize,
}

impl Waiting {
    /// A piece that `peer` has to read.
    pub fn new(peer: Arc<Peer>) -> Self {
        let age = peer.age.load(Ordering::Relaxed);
        peer.bucket(age).fetch_add(1, Ordering::Relaxed);
        Self {
            peer,
            age,
            taken: 0,
        }
    }

    /// Counts bytes that were sent.
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
