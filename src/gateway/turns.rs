//! Conversions of large messages, which take milliseconds and more: off the threads that answer calls, few at a time,
//! and never all of them for one origin.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::host::deadline::Deadline;
use crate::host::party::Party;
use crate::status::internal;

/// The size up to which a message is converted at once, in bytes: about half a millisecond.
const SMALL: usize = 32 << 10;

/// Turns to convert large messages. An origin waits for a turn of its own first, so that in the common queue it has no
/// more places than it may have turns: others wait for a few conversions of it, however many it asks for.
#[derive(Clone)]
pub struct Turns {
    all: Arc<Semaphore>,
    of_origin: usize,
    /// Those of the origins that convert or wait.
    origins: Arc<Mutex<HashMap<Party, Weak<Semaphore>>>>,
}

/// For whom a message is converted, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Customer {
    /// The address, or the person.
    pub origin: Party,
    /// When the caller stops waiting.
    pub deadline: Deadline,
}

impl Turns {
    /// This many at a time; one origin has one less, so that it leaves one to the others.
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self {
            all: Arc::new(Semaphore::new(at_once)),
            of_origin: (at_once - 1).max(1),
            origins: Arc::default(),
        }
    }

    /// Does `work` on `size` bytes.
    ///
    /// # Errors
    /// The caller's deadline passed first, or the work panicked, which is a bug.
    pub async fn take<V: Send + 'static>(
        &self,
        size: usize,
        customer: Customer,
        work: impl FnOnce() -> V + Send + 'static,
    ) -> Result<V, Status> {
        if size <= SMALL {
            // The panic hook logs the cause.
            return catch_unwind(AssertUnwindSafe(work)).map_err(|_| internal());
        }
        let done = async {
            let turn = self.turn(customer.origin).await?;
            let done = tokio::task::spawn_blocking(move || {
                // A caller who leaves cannot stop the work, so the turn ends with the work.
                let _turn = turn;
                work()
            });
            done.await.map_err(|_| internal())
        };
        customer.deadline.limit(done).await
    }

    async fn turn(&self, origin: Party) -> Result<[OwnedSemaphorePermit; 2], Status> {
        let own = self.turns_of(origin).acquire_owned().await;
        let own = own.map_err(|_| internal())?;
        let common = Arc::clone(&self.all).acquire_owned().await;
        Ok([own, common.map_err(|_| internal())?])
    }

    fn turns_of(&self, origin: Party) -> Arc<Semaphore> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = origins.get(&origin).and_then(Weak::upgrade) {
            return turns;
        }
        // As many as there are calls in progress, at most.
        origins.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.of_origin));
        origins.insert(origin, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tonic::Code;

    use super::*;

    fn customer(origin: u64, deadline: Deadline) -> Customer {
        Customer {
            origin: Party(origin),
            deadline,
        }
    }

    #[tokio::test]
    async fn one_origin_leaves_a_turn_to_the_others_and_a_deadline_ends_the_wait() {
        let turns = Turns::new(2);
        let (release, released) = mpsc::channel::<()>();
        let (began, has_begun) = mpsc::channel();
        let mut greedy = Vec::new();
        let mut first = Some((released, began));
        for _ in 0..10 {
            let (turns, first) = (turns.clone(), first.take());
            greedy.push(tokio::spawn(async move {
                let work = move || {
                    if let Some((released, began)) = first {
                        let _ = began.send(());
                        let _ = released.recv();
                    }
                };
                let greedy = customer(1, Deadline::NONE);
                turns.take(SMALL + 1, greedy, work).await
            }));
        }
        tokio::task::spawn_blocking(move || has_begun.recv())
            .await
            .expect("no panic")
            .expect("the first has its turn");
        let other = customer(2, Deadline::NONE);
        let answer = turns.take(SMALL + 1, other, || 7).await;
        assert_eq!(answer.expect("a turn is left"), 7);
        let hasty = customer(1, Deadline::after(Duration::from_millis(1)));
        let refused = turns.take(SMALL + 1, hasty, || 7).await;
        let refused = refused.expect_err("the turn of its origin is taken");
        assert_eq!(refused.code(), Code::DeadlineExceeded);
        drop(release);
        for greedy in greedy {
            greedy.await.expect("no panic").expect("its turn comes");
        }
    }
}
