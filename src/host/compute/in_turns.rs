//! Computations that advance in steps, a quantum at a time.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::pool::Compute;
use super::task::{ComputeError, Panicked, Reply, Scratch, Task, Timing, Turn};
use crate::host::party::Parties;

impl Compute {
    /// Calls `advance` on `state` until it returns `false`, a `quantum` at a time, then converts the state with
    /// `finish`. The computation ends when the caller stops waiting.
    ///
    /// # Errors
    /// A full queue, or a panic.
    pub async fn run_in_turns<S: Send + 'static, V: Send + 'static>(
        &self,
        parties: Parties,
        quantum: Duration,
        state: S,
        advance: impl FnMut(&mut S) -> bool + Send + 'static,
        finish: impl FnOnce(S) -> V + Send + 'static,
    ) -> Result<(V, Timing), ComputeError> {
        let (reply, result) = oneshot::channel();
        let task = Box::new(InTurns {
            parts: Some((state, finish, reply)),
            advance,
            quantum,
            queued: Instant::now(),
            computed: Duration::ZERO,
        });
        self.submit(parties, task)?;
        result.await.map_err(|_| Panicked.into())
    }
}

/// A task of many turns.
struct InTurns<S, A, F, V> {
    parts: Option<(S, F, Reply<V>)>,
    advance: A,
    quantum: Duration,
    queued: Instant,
    computed: Duration,
}

impl<S, A, F, V> Task for InTurns<S, A, F, V>
where
    S: Send,
    V: Send,
    A: FnMut(&mut S) -> bool + Send,
    F: FnOnce(S) -> V + Send,
{
    fn turn(&mut self, _cores: usize, _scratch: &mut Scratch) -> Turn {
        let Some((mut state, finish, reply)) = self.parts.take() else {
            return Turn::Done;
        };
        let began = Instant::now();
        while !reply.is_closed() {
            if !(self.advance)(&mut state) {
                let value = finish(state);
                self.computed += began.elapsed();
                let timing = Timing {
                    queued: self.queued.elapsed().saturating_sub(self.computed),
                    computed: self.computed,
                };
                let _ = reply.send((value, timing));
                return Turn::Done;
            }
            if began.elapsed() >= self.quantum {
                self.computed += began.elapsed();
                self.parts = Some((state, finish, reply));
                return Turn::Again;
            }
        }
        Turn::Done
    }
}
