//! How much a startup may have to replay: the work of the runs in the log, in units of floating-point operations.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::training::Plan;

/// Work is counted in this many floating-point operations.
pub const UNIT: u64 = 1_000_000;

/// The work that a start may have with all of them, in units: two or three seconds.
const MOST_WORK: usize = 250_000;

/// What a run did, for whoever is to do it again.
#[derive(Clone, Debug)]
pub struct Taken<T> {
    /// The run's plan.
    pub plan: Plan<T>,
    /// Steps of the request, earlier tries included, before what is to be written down.
    pub first: u64,
}

/// A permit for each unit of work that a start may have.
pub fn redo_work() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MOST_WORK))
}
