//! A queue in which every party gets its turn: whoever queues a thousand tasks waits for them himself.

use std::collections::{HashMap, VecDeque};

use super::caller::Party;

/// Tasks of each party in the order in which they came; parties take turns.
#[derive(Debug)]
pub struct FairQueue<T> {
    tasks: HashMap<Party, VecDeque<T>>,
    /// Every party that has a task, the next one first.
    turns: VecDeque<Party>,
    len: usize,
}

impl<T> FairQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            tasks: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
        }
    }

    /// Tasks in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tasks of one party.
    pub fn len_of(&self, party: Party) -> usize {
        self.tasks.get(&party).map_or(0, VecDeque::len)
    }

    /// Adds a task behind the party's others.
    pub fn push(&mut self, party: Party, task: T) {
        let tasks = self.tasks.entry(party).or_default();
        if tasks.is_empty() {
            self.turns.push_back(party);
        }
        tasks.push_back(task);
        self.len += 1;
    }

    /// Takes the next party's first task. The party's next turn comes after everybody else's.
    pub fn pop(&mut self) -> Option<(Party, T)> {
        let party = self.turns.pop_front()?;
        let tasks = self.tasks.get_mut(&party)?;
        let task = tasks.pop_front()?;
        if tasks.is_empty() {
            self.tasks.remove(&party);
        } else {
            self.turns.push_back(party);
        }
        self.len -= 1;
        Some((party, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_take_turns_however_much_each_has_queued() {
        let mut queue = FairQueue::new();
        let [many, few] = [Party(1), Party(2)];
        for task in 0..100 {
            queue.push(many, task);
        }
        queue.push(few, 1000);
        queue.push(few, 1001);
        assert_eq!(
            (queue.len(), queue.len_of(many), queue.len_of(few)),
            (102, 100, 2)
        );
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop())
            .map(|(_, task)| task)
            .collect();
        assert_eq!(order[..5], [0, 1000, 1, 1001, 2]);
        assert_eq!(order.len(), 102);
        assert_eq!((queue.len(), queue.len_of(many)), (0, 0));
    }

    #[test]
    fn a_task_that_comes_back_waits_for_every_other_party() {
        let mut queue = FairQueue::new();
        for party in 0..3 {
            queue.push(Party(party), party);
        }
        let (party, task) = queue.pop().expect("three");
        queue.push(party, task);
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop())
            .map(|(_, task)| task)
            .collect();
        assert_eq!(order, [1, 2, 0]);
    }
}
