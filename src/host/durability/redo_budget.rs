//! The budget for replaying the log at startup, in units of floating-point operations.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::training::Plan;

/// Floating-point operations in one unit of work.
pub const UNIT: u64 = 1_000_000;

/// Most work to replay all models at startup, in units: two or three seconds.
const MOST_WORK: usize = 250_000;

/// What is needed to replay a run.
#[derive(Clone, Debug)]
pub struct ReplayPlan<T> {
    /// The run's plan.
    pub plan: Plan<T>,
    /// Steps of the request, earlier attempts included, before the ones to persist.
    pub first: u64,
}

/// The budget: a permit for each unit of work.
pub fn redo_work() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MOST_WORK))
}
