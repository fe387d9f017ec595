//! Work for the compute threads, and what a call hears of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use faer::Par;
use tokio::sync::oneshot;

use crate::host::refused::Refused;

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

impl From<ComputeError> for Refused {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::Full { setting, limit } => {
                Self::queue_full(setting, limit, "too many calls wait for a compute thread")
            }
            ComputeError::Panicked(_) => Self::Bug,
        }
    }
}

/// Where a task's result goes.
pub type Reply<V> = oneshot::Sender<(V, Timing)>;

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

/// The threads of a task that may take this many cores.
pub fn parallelism(cores: usize) -> Par {
    if cores > 1 {
        Par::rayon(cores)
    } else {
        Par::Seq
    }
}
