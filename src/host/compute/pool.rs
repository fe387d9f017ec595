//! The compute threads and their queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::fair_queue::FairQueue;
use super::niceness::give_way;
use super::task::{ComputeError, Scratch, Task, Turn};
use crate::host::metrics::Metrics;
use crate::host::party::Parties;

/// The threads and their queue; the threads end when the last handle is dropped.
#[derive(Clone)]
pub struct Compute {
    shared: Arc<Shared>,
    threads: Arc<Threads>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    limits: ComputeLimits,
    metrics: Arc<Metrics>,
}

/// Limits on waiting calls, and the size below which work runs inline.
#[derive(Clone, Copy, Debug)]
pub struct ComputeLimits {
    /// Calls that may wait for a thread.
    pub waiting: usize,
    /// Calls from one address that may wait.
    pub waiting_of_origin: usize,
    /// Calls of one session that may wait.
    pub waiting_of_session: usize,
    /// Work of fewer floating-point operations runs inline.
    pub inline_flops: u64,
}

struct Queue {
    tasks: FairQueue<Waiting>,
    idle: usize,
    stopping: bool,
}

/// A task in the queue.
struct Waiting {
    task: Box<dyn Task>,
    /// When it was submitted; `None` once it has had a turn.
    since: Option<Instant>,
}

/// The next task, its parties, and how many cores it may use.
type Next = (Parties, Waiting, usize);

struct Threads {
    shared: Arc<Shared>,
    handles: Vec<thread::JoinHandle<()>>,
}

impl Compute {
    /// Starts the threads; waiting times are counted in `metrics`.
    ///
    /// # Errors
    /// The operating system cannot start them.
    pub fn start(
        threads: usize,
        limits: ComputeLimits,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                tasks: FairQueue::new(),
                idle: 0,
                stopping: false,
            }),
            wake: Condvar::new(),
            limits,
            metrics: Arc::clone(metrics),
        });
        if threads > 1 {
            // Helpers for tasks that use several cores. Another server in this process may have created the pool
            // already.
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
            threads: Arc::new(started),
        })
    }

    /// Queues a task for these parties.
    ///
    /// # Errors
    /// Too many tasks are waiting.
    pub fn submit(&self, parties: Parties, task: Box<dyn Task>) -> Result<(), ComputeError> {
        let limits = &self.shared.limits;
        let mut queue = self.shared.lock();
        let waiting = [
            (
                "max_waiting_calls_per_session",
                queue.tasks.len_of_session(parties),
                limits.waiting_of_session,
            ),
            (
                "max_waiting_calls_per_address",
                queue.tasks.len_of_origin(parties),
                limits.waiting_of_origin,
            ),
            ("max_waiting_calls", queue.tasks.len(), limits.waiting),
        ];
        for (setting, waiting, limit) in waiting {
            if waiting >= limit + queue.idle {
                return Err(ComputeError::Full { setting, limit });
            }
        }
        let since = Some(Instant::now());
        queue.tasks.push(parties, Waiting { task, since });
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// The numbers of threads, of busy ones, and of waiting tasks.
    pub fn occupancy(&self) -> (usize, usize, usize) {
        let threads = self.threads.handles.len();
        let queue = self.shared.lock();
        (
            threads,
            threads.saturating_sub(queue.idle),
            queue.tasks.len(),
        )
    }

    /// Number of waiting tasks.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.shared.lock().tasks.len()
    }

    /// Whether work of about `flops` floating-point operations is small enough to run inline.
    pub fn is_little(&self, flops: u64) -> bool {
        flops <= self.shared.limits.inline_flops
    }
}

fn work(shared: &Shared) {
    give_way();
    let mut scratch = Scratch::default();
    let mut next = shared.next(None);
    while let Some((parties, Waiting { mut task, since }, cores)) = next {
        let began = Instant::now();
        if let Some(since) = since {
            shared.metrics.queue_wait.observe(began - since);
        }
        let turn = catch_unwind(AssertUnwindSafe(|| task.turn(cores, &mut scratch)));
        let used = began
            .elapsed()
            .saturating_mul(u32::try_from(cores).unwrap_or(1));
        next = match turn {
            Ok(Turn::Again) => shared.next_after(parties, used, task),
            // The panic hook has logged it; dropping the task notifies its waiter.
            Ok(Turn::Done) | Err(_) => {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
                shared.next(Some((parties, used)))
            }
        };
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a task back after a turn of this duration and takes the next one. If no other task waits, the same task
    /// continues on the same core, whose cache holds its data.
    fn next_after(&self, parties: Parties, used: Duration, task: Box<dyn Task>) -> Option<Next> {
        let mut queue = self.lock();
        if queue.stopping {
            drop(queue);
            // Dropping a task may lock the queue.
            drop(task);
            return None;
        }
        queue.tasks.charge(parties, used);
        queue.tasks.push(parties, Waiting { task, since: None });
        queue.pop()
    }

    /// The next task; first charges the previous task's parties for the time it used.
    fn next(&self, done: Option<(Parties, Duration)>) -> Option<Next> {
        let mut queue = self.lock();
        if let Some((parties, used)) = done {
            queue.tasks.charge(parties, used);
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
        let (parties, task) = self.tasks.pop()?;
        // Idle threads are about to pick up the tasks that are still queued.
        let cores = 1 + self.idle.saturating_sub(self.tasks.len());
        Some((parties, task, cores))
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
            // A task on one of these threads may drop the last handle; a thread cannot join itself.
            if handle.thread().id() != own {
                let _ = handle.join();
            }
        }
    }
}
