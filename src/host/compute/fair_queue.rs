//! A fair queue for the compute threads: addresses share equally, within an address its connections, within a
//! connection its sessions. A client with a hundred connections or sessions still gets one share at the level above.
//!
//! At each level the party that has used the least time is next (start-time fair queueing: Goyal, Vin and Cheng, 1996).
//! A returning party starts slightly below the time of the party served last, so that an occasional call waits only for
//! the turns in progress, not for a full round of all parties. Each operation takes logarithmic time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::host::party::{Parties, Party};

/// Number of empty queues cached for new parties, so that a waiting call usually allocates nothing.
const MOST_SPARE: usize = 64;

/// How far below the party served last a returning party starts, in nanoseconds: a few turns.
const CREDIT: u64 = 10_000_000;

/// Idle parties whose times are remembered before outdated ones are dropped.
const MOST_RESTING: usize = 1024;

/// The tasks of one session, first in, first out.
type OfSession<T> = VecDeque<(Parties, T)>;

/// The tasks of one connection, by session.
type OfConnection<T> = Level<OfSession<T>>;

/// Tasks by address, connection and session.
#[derive(Debug)]
pub struct FairQueue<T> {
    origins: Level<Level<OfConnection<T>>>,
}

impl<T> FairQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            origins: Level::default(),
        }
    }

    /// Number of tasks.
    pub fn len(&self) -> usize {
        self.origins.len
    }

    /// Number of tasks from one address.
    pub fn len_of_origin(&self, caller: Parties) -> usize {
        self.origins.child(caller.origin).map_or(0, Turns::count)
    }

    /// Number of tasks of one session on one connection, or of a connection's calls without a session.
    pub fn len_of_session(&self, caller: Parties) -> usize {
        let session = self
            .origins
            .child(caller.origin)
            .and_then(|origin| origin.child(caller.connection))
            .and_then(|connection| connection.child(caller.session));
        session.map_or(0, Turns::count)
    }

    /// Adds a task behind the others of its session.
    pub fn push(&mut self, caller: Parties, task: T) {
        let path = [caller.origin, caller.connection, caller.session];
        self.origins.add(&path, (caller, task));
    }

    /// Takes the next task.
    pub fn pop(&mut self) -> Option<(Parties, T)> {
        self.origins.take()
    }

    /// Charges a caller for the thread time that its task has used.
    pub fn charge(&mut self, caller: Parties, time: Duration) {
        let path = [caller.origin, caller.connection, caller.session];
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.origins.charge(&path, time);
    }
}

/// A queue at one level of the tree; `path` names the parties below it.
trait Turns: Default {
    type Task;

    fn count(&self) -> usize;
    fn add(&mut self, path: &[Party], task: Self::Task);
    fn take(&mut self) -> Option<Self::Task>;
    fn charge(&mut self, path: &[Party], time: u64);
    /// Clears the bookkeeping of an empty queue.
    fn reset(&mut self);
}

/// The tasks of one session.
impl<T> Turns for VecDeque<T> {
    type Task = T;

    fn count(&self) -> usize {
        self.len()
    }

    fn add(&mut self, _: &[Party], task: T) {
        self.push_back(task);
    }

    fn take(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn charge(&mut self, _: &[Party], _: u64) {}

    fn reset(&mut self) {}
}

/// The order of turns: time used, in nanoseconds, then arrival.
type Rank = (u64, u64);

/// Parties that take turns, each with its own queue.
#[derive(Debug)]
struct Level<C> {
    /// Parties that have tasks.
    children: HashMap<Party, (Rank, C), BuildHasherDefault<AsItIs>>,
    /// The same parties in the order of their turns.
    turns: BTreeSet<(Rank, Party)>,
    /// Time used by parties without tasks.
    resting: HashMap<Party, u64, BuildHasherDefault<AsItIs>>,
    /// Time used by the party served last, before its turn; never decreases.
    now: u64,
    arrivals: u64,
    len: usize,
    spare: Vec<C>,
}

impl<C> Default for Level<C> {
    fn default() -> Self {
        Self {
            children: HashMap::default(),
            turns: BTreeSet::new(),
            resting: HashMap::default(),
            now: 0,
            arrivals: 0,
            len: 0,
            spare: Vec::new(),
        }
    }
}

impl<C> Level<C> {
    fn child(&self, party: Party) -> Option<&C> {
        self.children.get(&party).map(|(_, child)| child)
    }

    /// The least time that a returning party starts with.
    fn least(&self) -> u64 {
        self.now.saturating_sub(CREDIT)
    }

    fn rank(&mut self, used: u64) -> Rank {
        self.arrivals += 1;
        (used, self.arrivals)
    }

    fn rest(&mut self, party: Party, used: u64) {
        if self.resting.len() >= MOST_RESTING {
            let least = self.least();
            self.resting.retain(|_, used| *used > least);
        }
        self.resting.insert(party, used);
    }
}

impl<C: Turns> Turns for Level<C> {
    type Task = C::Task;

    fn count(&self) -> usize {
        self.len
    }

    fn add(&mut self, path: &[Party], task: C::Task) {
        let Some((&party, path)) = path.split_first() else {
            return;
        };
        self.len += 1;
        if let Some((_, child)) = self.children.get_mut(&party) {
            return child.add(path, task);
        }
        let used = self.resting.remove(&party).unwrap_or(0);
        let rank = self.rank(used.max(self.least()));
        let mut child = self.spare.pop().unwrap_or_default();
        child.add(path, task);
        self.turns.insert((rank, party));
        self.children.insert(party, (rank, child));
    }

    fn take(&mut self) -> Option<C::Task> {
        let ((used, _), party) = self.turns.pop_first()?;
        self.now = self.now.max(used);
        let next = self.rank(used);
        let (rank, child) = self.children.get_mut(&party)?;
        let task = child.take();
        self.len -= usize::from(task.is_some());
        if child.count() > 0 {
            *rank = next;
            self.turns.insert((next, party));
        } else if let Some((_, mut empty)) = self.children.remove(&party) {
            self.rest(party, used);
            if self.spare.len() < MOST_SPARE {
                empty.reset();
                self.spare.push(empty);
            }
        }
        task
    }

    fn charge(&mut self, path: &[Party], time: u64) {
        let Some((&party, path)) = path.split_first() else {
            return;
        };
        if let Some(((used, arrival), child)) = self.children.get_mut(&party) {
            child.charge(path, time);
            self.turns.remove(&((*used, *arrival), party));
            *used = used.saturating_add(time);
            self.turns.insert(((*used, *arrival), party));
        } else {
            let used = self.resting.get(&party).copied().unwrap_or(0);
            let used = used.max(self.least()).saturating_add(time);
            self.rest(party, used);
        }
    }

    fn reset(&mut self) {
        self.resting.clear();
        self.now = 0;
    }
}

/// An identity hasher: a party is already a keyed hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(origin: u64, connection: u64, session: u64) -> Parties {
        Parties {
            origin: Party(origin),
            connection: Party(connection),
            session: Party(session),
        }
    }

    /// The callers of the next `count` turns, as (origin, connection, session), where each has more to do.
    fn turns(callers: &[Parties], count: usize) -> Vec<Parties> {
        let mut queue = FairQueue::new();
        for &caller in callers {
            queue.push(caller, ());
        }
        let turn = |_| {
            let (caller, ()) = queue.pop().expect("each has more");
            queue.push(caller, ());
            caller
        };
        (0..count).map(turn).collect()
    }

    #[test]
    fn sessions_take_turns_however_much_each_has_queued() {
        let mut queue = FairQueue::new();
        let [many, few] = [caller(1, 1, 1), caller(1, 1, 2)];
        for task in 0..100 {
            queue.push(many, task);
        }
        queue.push(few, 1000);
        queue.push(few, 1001);
        let counts = |queue: &FairQueue<i32>| {
            let [many, few] = [many, few].map(|caller| queue.len_of_session(caller));
            (queue.len(), queue.len_of_origin(few_origin()), many, few)
        };
        assert_eq!(counts(&queue), (102, 102, 100, 2));
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop())
            .map(|(_, task)| task)
            .collect();
        assert_eq!(order[..5], [0, 1000, 1, 1001, 2]);
        assert_eq!(order.len(), 102);
        assert_eq!(counts(&queue), (0, 0, 0, 0));
    }

    fn few_origin() -> Parties {
        caller(1, 9, 9)
    }

    #[test]
    fn four_hundred_sessions_of_a_connection_have_the_share_of_one() {
        let alone = caller(1, 2, 1000);
        let many = (0..400).map(|session| caller(1, 1, session));
        let callers: Vec<_> = many.chain([alone]).collect();
        let turns = turns(&callers, 802);
        let own = turns.iter().filter(|turn| **turn == alone).count();
        assert_eq!(own, 401);
        // And each of the many has one in turn.
        let mut others: Vec<_> = turns.iter().filter(|turn| **turn != alone).collect();
        others.truncate(400);
        let distinct: std::collections::HashSet<_> = others.into_iter().collect();
        assert_eq!(distinct.len(), 400);
    }

    #[test]
    fn three_hundred_connections_of_an_address_have_the_share_of_one() {
        let alone = caller(2, 1000, 1000);
        let many = (0..300).map(|connection| caller(1, connection, connection));
        let callers: Vec<_> = many.chain([alone]).collect();
        let turns = turns(&callers, 100);
        let own = turns.iter().filter(|turn| **turn == alone).count();
        assert_eq!(own, 50);
    }

    /// Takes the next task, which uses this many milliseconds of a thread.
    fn serve(queue: &mut FairQueue<()>, milliseconds: u64) -> Parties {
        let (caller, ()) = queue.pop().expect("a task");
        queue.charge(caller, Duration::from_millis(milliseconds));
        caller
    }

    #[test]
    fn threads_are_shared_by_time_and_not_by_turns() {
        let [long, short] = [1, 2].map(|connection| caller(1, connection, 1));
        let mut queue = FairQueue::new();
        queue.push(long, ());
        queue.push(short, ());
        let mut turns_of_long = 0;
        for _ in 0..110 {
            let (served, ()) = queue.pop().expect("a task");
            let is_long = served == long;
            turns_of_long += usize::from(is_long);
            queue.charge(served, Duration::from_millis(if is_long { 50 } else { 5 }));
            queue.push(served, ());
        }
        assert!((9..=11).contains(&turns_of_long), "{turns_of_long}");
    }

    #[test]
    fn who_comes_now_and_then_waits_for_no_round_of_the_busy() {
        let busy: Vec<_> = (0..8).map(|connection| caller(1, connection, 1)).collect();
        let rare = caller(1, 100, 1);
        let mut queue = FairQueue::new();
        for &caller in &busy {
            queue.push(caller, ());
        }
        for round in 0..200 {
            // Longer at first: those that are busy come with some credit, too.
            for _ in 0..if round == 0 { 32 } else { 1 + round % 7 } {
                let served = serve(&mut queue, 5);
                queue.push(served, ());
            }
            queue.push(rare, ());
            let served = queue.pop().expect("a task").0;
            assert_eq!(served, rare, "round {round}");
            queue.charge(served, Duration::from_micros(20));
        }
    }

    #[test]
    fn who_comes_again_and_again_gets_no_more_than_a_share() {
        let busy = caller(1, 1, 1);
        let again = caller(1, 2, 1);
        let mut queue = FairQueue::new();
        queue.push(busy, ());
        let mut turns = [0, 0];
        for _ in 0..1000 {
            // Comes back as soon as it is served, and not before.
            queue.push(again, ());
            let mut served = serve(&mut queue, 5);
            while served == busy {
                turns[0] += 1;
                queue.push(busy, ());
                served = serve(&mut queue, 5);
            }
            turns[1] += 1;
        }
        assert!(turns[0] >= 990, "{turns:?}");
    }

    #[test]
    fn a_task_that_comes_back_waits_for_every_other_session() {
        let callers = [0, 1, 2].map(|session| caller(1, 1, session));
        let sessions = turns(&callers, 6).into_iter().map(|turn| turn.session.0);
        assert_eq!(sessions.collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    }
}
