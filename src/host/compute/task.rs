//! Tasks for the compute threads, and the result that a call receives.

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

/// A task for the compute threads, run turn by turn. Dropped when done, on a panic, or when the pool stops.
pub trait Task: Send {
    /// Computes for about a quantum on up to `cores` threads, the current one included.
    fn turn(&mut self, cores: usize, scratch: &mut Scratch) -> Turn;
}

/// Buffers that are slow to allocate, passed from one task on a compute thread to the next.
#[derive(Default)]
pub struct Scratch(Option<Box<dyn Any>>);

impl Scratch {
    /// Takes the stored value if it has this type.
    pub fn take<V: 'static>(&mut self) -> Option<V> {
        let left = self.0.take()?;
        left.downcast().ok().map(|left| *left)
    }

    /// Stores a value for the next task.
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

/// The task panicked; the log has details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a computation panicked")]
pub struct Panicked;

/// Why a call has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ComputeError {
    /// Too many calls are waiting.
    #[error("the compute queue is full")]
    Full {
        /// The setting that limits the queue.
        setting: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The task panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl From<ComputeError> for Refused {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::Full { setting, limit } => Self::queue_full(
                setting,
                limit,
                "too many calls are waiting for a compute thread",
            ),
            ComputeError::Panicked(_) => Self::Bug,
        }
    }
}

/// The channel for a task's result.
pub type Reply<V> = oneshot::Sender<(V, Timing)>;

/// Runs `work` on the current thread.
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

/// The parallelism for a task that may use this many cores.
pub fn parallelism(cores: usize) -> Par {
    if cores > 1 {
        Par::rayon(cores)
    } else {
        Par::Seq
    }
}
