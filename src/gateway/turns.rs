//! Conversions of large messages, which take milliseconds and more: off the threads that answer calls, and few at a
//! time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::Status;

use crate::status::internal;

/// The size up to which a message is converted at once, in bytes: about half a millisecond.
const SMALL: usize = 32 << 10;

/// Turns to convert large messages, in the order in which they were asked for.
#[derive(Clone)]
pub struct Turns(Arc<Semaphore>);

impl Turns {
    /// This many at a time.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// Does `work` on `size` bytes.
    ///
    /// # Errors
    /// It panicked, which is a bug.
    pub async fn take<V: Send + 'static>(
        &self,
        size: usize,
        work: impl FnOnce() -> V + Send + 'static,
    ) -> Result<V, Status> {
        if size <= SMALL {
            // The panic hook logs the cause.
            return catch_unwind(AssertUnwindSafe(work)).map_err(|_| internal());
        }
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(|_| internal())?;
        let done = tokio::task::spawn_blocking(move || {
            // A caller who leaves cannot stop the work, so the turn ends with the work.
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| internal())
    }
}
