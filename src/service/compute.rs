//! Compute threads. A fixed number of them takes tasks from one queue, in which callers have equal shares; a task that is
//! not done after its turn goes back into the queue, so that a long run and a hundred short ones share the cores. Nothing
//! numeric runs on an async worker, except work so small that handing it over would take longer than doing it.

mod turns;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use faer::Par;
use tokio::sync::oneshot;
use tonic::Status;

pub use self::turns::{InBlocks, Turns};
use super::caller::Caller;
use super::fair_queue::FairQueue;
use super::niceness::give_way;
use super::status::queue_full;
use super::telemetry;

/// Whether a task wants another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No.
    Done,
    /// Yes, after the others.
    Again,
}

/// Work for a compute thread, done turn by turn. Dropped when done, when it panics, or when the pool stops.
pub trait Task: Send {
    /// Computes for about a quantum, on as many threads as there are `cores` without other work, its own included.
    fn turn(&mut self, cores: usize, scratch: &mut Scratch) -> Turn;
}

/// What the last task on a compute thread has left for the next one: buffers that take long to make.
#[derive(Default)]
pub struct Scratch(Option<Box<dyn Any>>);

impl Scratch {
    /// What was left, if it is of this type.
    pub fn take<V: 'static>(&mut self) -> Option<V> {
        let left = self.0.take()?;
        left.downcast().ok().map(|left| *left)
    }

    /// Leaves this.
    pub fn leave<V: 'static>(&mut self, left: V) {
        self.0 = Some(Box::new(left));
    }
}

/// The threads and their queue; the threads end when the last handle is dropped.
#[derive(Clone)]
pub struct Compute {
    shared: Arc<Shared>,
    _threads: Arc<Threads>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    limits: ComputeLimits,
}

/// How much may wait, and what need not.
#[derive(Clone, Copy, Debug)]
pub struct ComputeLimits {
    /// Calls that may wait for a thread.
    pub waiting: usize,
    /// Calls from one address that may.
    pub waiting_of_origin: usize,
    /// Calls of one session that may.
    pub waiting_of_session: usize,
    /// Below so many floating-point operations work is done at once.
    pub inline_flops: u64,
}

struct Queue {
    tasks: FairQueue<Box<dyn Task>>,
    idle: usize,
    stopping: bool,
}

/// A task whose turn has come, whose it is, and how many cores it may take.
type Next = (Caller, Box<dyn Task>, usize);

struct Threads {
    shared: Arc<Shared>,
    handles: Vec<thread::JoinHandle<()>>,
}

/// Where the time of a call went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Waiting for a thread.
    pub queued: Duration,
    /// Computing.
    pub computed: Duration,
}

/// The task panicked; the log says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a computation panicked")]
pub struct Panicked;

/// Why a call has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ComputeError {
    /// Too many calls wait already.
    #[error("the compute queue is full")]
    Full {
        /// What says how many may wait.
        setting: &'static str,
        /// How many may wait.
        limit: usize,
    },
    /// It panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl Compute {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system starts no more threads.
    pub fn start(threads: usize, limits: ComputeLimits) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                tasks: FairQueue::new(),
                idle: 0,
                stopping: false,
            }),
            wake: Condvar::new(),
            limits,
        });
        if threads > 1 {
            // They help a task that takes several cores. Another server of this process may have made them already.
            let helpers = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|index| format!("helper-{index}"))
                .start_handler(|_| give_way());
            let _ = helpers.build_global();
        }
        let mut started = Threads {
            shared: Arc::clone(&shared),
            handles: Vec::with_capacity(threads),
        };
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            let handle = thread::Builder::new()
                .name(format!("compute-{index}"))
                .stack_size(crate::formula::STACK_BYTES)
                .spawn(move || work(&shared))?;
            started.handles.push(handle);
        }
        Ok(Self {
            shared,
            _threads: Arc::new(started),
        })
    }

    /// Queues a task of the call under way.
    ///
    /// # Errors
    /// Too many wait already.
    pub fn submit(&self, task: Box<dyn Task>) -> Result<(), ComputeError> {
        let caller = telemetry::caller();
        let limits = &self.shared.limits;
        let mut queue = self.shared.lock();
        let waiting = [
            (
                "max_waiting_calls_per_session",
                queue.tasks.len_of_session(caller),
                limits.waiting_of_session,
            ),
            (
                "max_waiting_calls_per_address",
                queue.tasks.len_of_origin(caller),
                limits.waiting_of_origin,
            ),
            ("max_waiting_calls", queue.tasks.len(), limits.waiting),
        ];
        for (setting, waiting, limit) in waiting {
            if waiting >= limit + queue.idle {
                return Err(ComputeError::Full { setting, limit });
            }
        }
        queue.tasks.push(caller, task);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// How many tasks wait.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.shared.lock().tasks.len()
    }

    /// Whether work of about `flops` floating-point operations is done where it is asked for.
    pub fn is_little(&self, flops: u64) -> bool {
        flops <= self.shared.limits.inline_flops
    }

    /// Computes `work`, which takes about `flops` floating-point operations and is told how many threads it may take: at
    /// once where that is little, else on a compute thread. A caller that stops waiting withdraws it from the queue.
    ///
    /// # Errors
    /// A full queue, or a panic in `work`.
    pub async fn run<V: Send + 'static>(
        &self,
        flops: u64,
        work: impl FnOnce(Par) -> V + Send + 'static,
    ) -> Result<(V, Timing), ComputeError> {
        if self.is_little(flops) {
            return at_once(|| work(Par::Seq));
        }
        let (reply, result) = oneshot::channel();
        self.submit(Box::new(Once {
            work: Some((work, reply)),
            queued: Instant::now(),
        }))?;
        // A task that is dropped without an answer has panicked.
        result.await.map_err(|_| Panicked.into())
    }
}

impl Compute {
    /// Takes `state` further with `advance` until that returns `false`, a `quantum` at a time, then makes a value of
    /// it with `finish`. A caller that stops waiting ends it.
    ///
    /// # Errors
    /// A full queue, or a panic.
    pub async fn run_in_turns<S: Send + 'static, V: Send + 'static>(
        &self,
        quantum: Duration,
        state: S,
        advance: impl FnMut(&mut S) -> bool + Send + 'static,
        finish: impl FnOnce(S) -> V + Send + 'static,
    ) -> Result<(V, Timing), ComputeError> {
        let (reply, result) = oneshot::channel();
        self.submit(Box::new(InTurns {
            parts: Some((state, finish, reply)),
            advance,
            quantum,
            queued: Instant::now(),
            computed: Duration::ZERO,
        }))?;
        result.await.map_err(|_| Panicked.into())
    }
}

/// Computes `work` on the thread that asks.
///
/// # Errors
/// A panic in `work`.
pub fn at_once<V>(work: impl FnOnce() -> V) -> Result<(V, Timing), ComputeError> {
    let started = Instant::now();
    let value = catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)?;
    let timing = Timing {
        queued: Duration::ZERO,
        computed: started.elapsed(),
    };
    Ok((value, timing))
}

/// Where a task's result goes.
type Reply<V> = oneshot::Sender<(V, Timing)>;

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

/// A task of one turn.
struct Once<F, V> {
    work: Option<(F, Reply<V>)>,
    queued: Instant,
}

impl<V: Send, F: FnOnce(Par) -> V + Send> Task for Once<F, V> {
    fn turn(&mut self, cores: usize, _scratch: &mut Scratch) -> Turn {
        if let Some((work, reply)) = self.work.take()
            && !reply.is_closed()
        {
            let started = Instant::now();
            let value = work(parallelism(cores));
            let timing = Timing {
                queued: started - self.queued,
                computed: started.elapsed(),
            };
            // A caller that has left meanwhile needs no answer.
            let _ = reply.send((value, timing));
        }
        Turn::Done
    }
}

/// The threads of a task that may take this many cores.
pub fn parallelism(cores: usize) -> Par {
    if cores > 1 {
        Par::rayon(cores)
    } else {
        Par::Seq
    }
}

fn work(shared: &Shared) {
    give_way();
    let mut scratch = Scratch::default();
    let mut next = shared.next(None);
    while let Some((caller, mut task, cores)) = next {
        let began = Instant::now();
        let turn = catch_unwind(AssertUnwindSafe(|| task.turn(cores, &mut scratch)));
        let used = began
            .elapsed()
            .saturating_mul(u32::try_from(cores).unwrap_or(1));
        next = match turn {
            Ok(Turn::Again) => shared.next_after(caller, used, task),
            // The panic hook has logged it; dropping the task tells whoever waits for it.
            Ok(Turn::Done) | Err(_) => {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
                shared.next(Some((caller, used)))
            }
        };
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a task back whose turn has used this much time, and takes the next one: where none waits, the same again, on
    /// the core that has its memory at hand.
    fn next_after(&self, caller: Caller, used: Duration, task: Box<dyn Task>) -> Option<Next> {
        let mut queue = self.lock();
        if queue.stopping {
            drop(queue);
            // What a task does when it ends may want the queue.
            drop(task);
            return None;
        }
        queue.tasks.charge(caller, used);
        queue.tasks.push(caller, task);
        queue.pop()
    }

    /// The next task, after one that is done and has used this much time.
    fn next(&self, done: Option<(Caller, Duration)>) -> Option<Next> {
        let mut queue = self.lock();
        if let Some((caller, used)) = done {
            queue.tasks.charge(caller, used);
        }
        queue.idle += 1;
        let mut queue = self
            .wake
            .wait_while(queue, |queue| queue.tasks.len() == 0 && !queue.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        queue.idle -= 1;
        if queue.stopping {
            return None;
        }
        queue.pop()
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Next> {
        let (caller, task) = self.tasks.pop()?;
        // Threads that wait for work are about to get what is still queued.
        let cores = 1 + self.idle.saturating_sub(self.tasks.len());
        Some((caller, task, cores))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let abandoned = {
            let mut queue = self.shared.lock();
            queue.stopping = true;
            std::mem::replace(&mut queue.tasks, FairQueue::new())
        };
        drop(abandoned);
        self.shared.wake.notify_all();
        let own = thread::current().id();
        for handle in self.handles.drain(..) {
            // The last handle can be dropped by a task on one of these threads, which cannot wait for itself.
            if handle.thread().id() != own {
                let _ = handle.join();
            }
        }
    }
}

impl From<ComputeError> for Status {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::Full { setting, limit } => {
                queue_full(setting, limit, "too many calls wait for a compute thread")
            }
            ComputeError::Panicked(Panicked) => super::status::internal(),
        }
    }
}

#[cfg(test)]
mod tests;
