//! A queue with a turn for each caller: addresses take turns, within an address its connections, within a connection its
//! sessions. A client that opens a hundred of one kind has the share of one of the wider kind. Each operation takes the same
//! time however many wait.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::caller::{Caller, Party};

/// Empty queues of parties that are kept for the next ones, so that a call that waits allocates nothing as a rule.
const MOST_SPARE: usize = 64;

/// The tasks of one session, in the order in which they came.
type OfSession<T> = VecDeque<(Caller, T)>;

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
    pub fn len_of_origin(&self, caller: Caller) -> usize {
        self.origins.child(caller.origin).map_or(0, Turns::count)
    }

    /// Tasks of one session, or of a connection that names none, on one connection.
    pub fn len_of_session(&self, caller: Caller) -> usize {
        let session = self
            .origins
            .child(caller.origin)
            .and_then(|origin| origin.child(caller.connection))
            .and_then(|connection| connection.child(caller.session));
        session.map_or(0, Turns::count)
    }

    /// Adds a task behind the others of its session.
    pub fn push(&mut self, caller: Caller, task: T) {
        let path = [caller.origin, caller.connection, caller.session];
        self.origins.add(&path, (caller, task));
    }

    /// Takes the next task. The next turn of whom it is for comes after everybody else's.
    pub fn pop(&mut self) -> Option<(Caller, T)> {
        self.origins.take()
    }
}

/// A queue at one level of the tree; `path` names the parties below it.
trait Turns: Default {
    type Task;

    fn count(&self) -> usize;
    fn add(&mut self, path: &[Party], task: Self::Task);
    fn take(&mut self) -> Option<Self::Task>;
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
}

/// Parties that take turns, each with a queue of its own.
#[derive(Debug)]
struct Level<C> {
    children: HashMap<Party, C, BuildHasherDefault<AsItIs>>,
    /// Every party that has a task, the next one first.
    turns: VecDeque<Party>,
    len: usize,
    spare: Vec<C>,
}

impl<C> Default for Level<C> {
    fn default() -> Self {
        Self {
            children: HashMap::default(),
            turns: VecDeque::new(),
            len: 0,
            spare: Vec::new(),
        }
    }
}

impl<C> Level<C> {
    fn child(&self, party: Party) -> Option<&C> {
        self.children.get(&party)
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
        let (spare, turns) = (&mut self.spare, &mut self.turns);
        let child = self.children.entry(party).or_insert_with(|| {
            turns.push_back(party);
            spare.pop().unwrap_or_default()
        });
        child.add(path, task);
        self.len += 1;
    }

    fn take(&mut self) -> Option<C::Task> {
        let party = self.turns.pop_front()?;
        let child = self.children.get_mut(&party)?;
        let task = child.take();
        if child.count() > 0 {
            self.turns.push_back(party);
        } else if let Some(empty) = self.children.remove(&party)
            && self.spare.len() < MOST_SPARE
        {
            self.spare.push(empty);
        }
        self.len -= usize::from(task.is_some());
        task
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

    fn caller(origin: u64, connection: u64, session: u64) -> Caller {
        Caller {
            origin: Party(origin),
            connection: Party(connection),
            session: Party(session),
        }
    }

    /// The callers of the next `count` turns, as (origin, connection, session), where each has more to do.
    fn turns(callers: &[Caller], count: usize) -> Vec<Caller> {
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

    fn few_origin() -> Caller {
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

    #[test]
    fn a_task_that_comes_back_waits_for_every_other_session() {
        let callers = [0, 1, 2].map(|session| caller(1, 1, session));
        let sessions = turns(&callers, 6).into_iter().map(|turn| turn.session.0);
        assert_eq!(sessions.collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    }
}
