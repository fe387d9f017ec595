//! Computations that run in a single turn.

use std::time::Instant;

use faer::Par;
use tokio::sync::oneshot;

use super::pool::Compute;
use super::task::{
    ComputeError, Panicked, Reply, Scratch, Task, Timing, Turn, at_once, parallelism,
};
use crate::host::party::Parties;

impl Compute {
    /// Runs `work`, about `flops` floating-point operations: inline if small, else on a compute thread. `work` receives
    /// the number of threads it may use. If the caller stops waiting, the task leaves the queue.
    ///
    /// # Errors
    /// A full queue, or a panic in `work`.
    pub async fn run<V: Send + 'static>(
        &self,
        parties: Parties,
        flops: u64,
        work: impl FnOnce(Par) -> V + Send + 'static,
    ) -> Result<(V, Timing), ComputeError> {
        if self.is_little(flops) {
            return at_once(|| work(Par::Seq));
        }
        let (reply, result) = oneshot::channel();
        let task = Box::new(Once {
            work: Some((work, reply)),
            queued: Instant::now(),
        });
        self.submit(parties, task)?;
        // A task dropped without a reply has panicked.
        result.await.map_err(|_| Panicked.into())
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
            // The caller may have left.
            let _ = reply.send((value, timing));
        }
        Turn::Done
    }
}
