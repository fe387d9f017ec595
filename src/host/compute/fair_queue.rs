//! A queue in which callers share the compute threads: addresses with each other, within an address its connections,
//! within a connection its sessions. A client that opens a hundred of one kind has the share of one of the wider kind.
//!
//! At each level the party is next that has used the least time (start-time fair queueing: Goyal, Vin and Cheng, 1996).
//! One that comes back is counted as if it had used a little less than the party served last, so that a call now and then
//! waits for the turns under way and not for a round of everybody's. Each operation takes logarithmic time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::host::party::{Parties, Party};

/// Empty queues of parties that are kept for the next ones, so that a call that waits allocates nothing as a rule.
const MOST_SPARE: usize = 64;

/// How much less a party that comes back has used than the one served last, in nanoseconds: a few turns.
const CREDIT: u64 = 10_000_000;

/// Parties without a task whose times are kept before those are dropped that no longer matter.
const MOST_RESTING: usize = 1024;

/// The tasks of one session, in the order in which they came.
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

    /// Tasks in all.
    pub fn len(&self) -> usize {
        self.origins.len
    }

    /// Tasks from one address.
    pub fn len_of_origin(&self, caller: Parties) -> usize {
        self.origins.child(caller.origin).map_or(0, Turns::count)
    }

    /// Tasks of one session, or of a connection that names none, on one connection.
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

    /// Notes that a task of this caller has used so much time of a thread.
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
    /// Forgets what an empty queue remembers.
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

/// When a party's turn comes: by the time that it has used, in nanoseconds, and by its arrival among those with the same.
type Rank = (u64, u64);

/// Parties that take turns, each with a queue of its own.
#[derive(Debug)]
struct Level<C> {
    /// Every party that has a task.
    children: HashMap<Party, (Rank, C), BuildHasherDefault<AsItIs>>,
    /// The same, the next one first.
    turns: BTreeSet<(Rank, Party)>,
    /// The times that parties without a task have used.
    resting: HashMap<Party, u64, BuildHasherDefault<AsItIs>>,
    /// The time that the party served last had used before; never falls.
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

    /// The least that a party has used which comes back.
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

/// A party is a keyed hash already.
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
