//! Computations in blocks: an `async` block, polled by a compute thread, that awaits only the pauses of its turns. A
//! pause after the quantum yields the thread to the next task; a computation whose caller has left is dropped at its
//! next pause.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use faer::Par;
use tokio::sync::oneshot;

use super::pool::Compute;
use super::task::{
    ComputeError, Panicked, Reply, Scratch, Task, Timing, Turn, at_once, parallelism,
};
use crate::host::party::Parties;
use crate::nn::Pauses;

/// Floating-point operations between two checks of caller and quantum: 1 to 7 ms on one core (10 to 70 GFLOP/s), enough
/// to make the overhead of a pause negligible.
const BLOCK_FLOPS: usize = 1 << 26;

/// The handle by which a computation pauses and learns how many cores it may use.
#[derive(Clone)]
pub struct Turns(Arc<TurnState>);

struct TurnState {
    quantum: Duration,
    /// When the current turn began.
    began: Mutex<Instant>,
    /// How many cores it may use.
    cores: AtomicUsize,
}

impl Turns {
    fn new(quantum: Duration) -> Self {
        Self(Arc::new(TurnState {
            quantum,
            began: Mutex::new(Instant::now()),
            cores: AtomicUsize::new(1),
        }))
    }

    fn begin(&self, now: Instant, cores: usize) {
        *self.began() = now;
        self.0.cores.store(cores, Ordering::Relaxed);
    }

    fn began(&self) -> MutexGuard<'_, Instant> {
        self.0.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pauses for Turns {
    fn par(&self) -> Par {
        parallelism(self.0.cores.load(Ordering::Relaxed))
    }

    fn block(&self) -> usize {
        BLOCK_FLOPS
    }

    async fn pause(&self) {
        if self.began().elapsed() < self.0.quantum {
            return;
        }
        let mut is_over = true;
        // Pending once: the compute thread takes the next task, and polls again at this one's next turn.
        std::future::poll_fn(|_| {
            if std::mem::take(&mut is_over) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}

/// A computation that yields its thread after each quantum.
pub struct InBlocks<F> {
    work: Pin<Box<F>>,
    turns: Turns,
}

impl<F: Future> InBlocks<F> {
    /// `work` must await only the pauses of the turns that it is given.
    pub fn new(quantum: Duration, work: impl FnOnce(Turns) -> F) -> Self {
        let turns = Turns::new(quantum);
        let work = Box::pin(work(turns.clone()));
        Self { work, turns }
    }

    /// Runs for a quantum; returns the result once the computation is done.
    pub fn turn(&mut self, began: Instant, cores: usize) -> Option<F::Output> {
        self.turns.begin(began, cores);
        let mut context = Context::from_waker(Waker::noop());
        match self.work.as_mut().poll(&mut context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}

/// A task of many turns, in blocks.
struct InTurnsOfBlocks<F, V> {
    work: InBlocks<F>,
    reply: Option<Reply<V>>,
    queued: Instant,
    computed: Duration,
}

impl<V: Send, F: Future<Output = V> + Send> Task for InTurnsOfBlocks<F, V> {
    fn turn(&mut self, cores: usize, _scratch: &mut Scratch) -> Turn {
        // A caller that has left needs no answer.
        if self.reply.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return Turn::Done;
        }
        let began = Instant::now();
        let value = self.work.turn(began, cores);
        self.computed += began.elapsed();
        let Some(value) = value else {
            return Turn::Again;
        };
        let timing = Timing {
            queued: self.queued.elapsed().saturating_sub(self.computed),
            computed: self.computed,
        };
        if let Some(reply) = self.reply.take() {
            let _ = reply.send((value, timing));
        }
        Turn::Done
    }
}

impl Compute {
    /// Runs `work`, about `flops` floating-point operations, in blocks: it awaits only the pauses of its turns, and
    /// yields its thread after each `quantum`. It is dropped at its next pause once the caller stops waiting. Small
    /// work runs inline.
    ///
    /// # Errors
    /// A full queue, or a panic.
    pub async fn run_in_blocks<V, F>(
        &self,
        parties: Parties,
        flops: u64,
        quantum: Duration,
        work: impl FnOnce(Turns) -> F,
    ) -> Result<(V, Timing), ComputeError>
    where
        V: Send + 'static,
        F: Future<Output = V> + Send + 'static,
    {
        if self.is_little(flops) {
            let mut work = InBlocks::new(Duration::MAX, work);
            let (value, timing) = at_once(|| work.turn(Instant::now(), 1))?;
            // It never pauses: its first turn is its last.
            return Ok((value.ok_or(Panicked)?, timing));
        }
        let (reply, result) = oneshot::channel();
        let task = Box::new(InTurnsOfBlocks {
            work: InBlocks::new(quantum, work),
            reply: Some(reply),
            queued: Instant::now(),
            computed: Duration::ZERO,
        });
        self.submit(parties, task)?;
        result.await.map_err(|_| Panicked.into())
    }
}
