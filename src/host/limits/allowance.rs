//! What a call takes of the host: memory, and time on the compute threads. Each of these looks at what the call may take.

use std::future::{Future, Ready, ready};
use std::time::Duration;

use faer::Par;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};

use super::memory::Reservation;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::compute::{Timing, Turns, at_once};
use crate::host::deadline::Deadline;
use crate::host::refused::{LimitKind, Refused};

/// The result of a computation, and where its time went.
type Computed<V> = Result<(V, Timing), Refused>;

impl Host {
    /// Memory for the intermediate quantities of a call.
    ///
    /// # Errors
    /// More than a call may take, or than is free.
    pub fn workspace(&self, caller: &Caller, bytes: usize) -> Result<Reservation, Refused> {
        self.check_workspace(bytes)?;
        if caller.memory().use_spare(bytes) {
            return Ok(Reservation::default());
        }
        self.reserve(caller, bytes)
    }

    /// Refuses a call whose intermediate quantities would take `bytes`.
    ///
    /// # Errors
    /// That is more than allowed.
    pub fn check_workspace(&self, bytes: usize) -> Result<(), Refused> {
        let limit = self.config.max_workspace_bytes;
        if bytes <= limit {
            return Ok(());
        }
        Err(Refused::Limit {
            kind: LimitKind::Workspace,
            setting: "max_workspace_bytes",
            limit: limit as u64,
            message: format!(
                "the intermediate quantities would take about {bytes} bytes, {limit} are allowed (max_workspace_bytes): \
                 send fewer rows, or set minibatch_size"
            ),
        })
    }

    /// Memory for a call, beside what it holds for its request.
    ///
    /// # Errors
    /// More than is free, or than its connection or address may hold.
    pub fn reserve(&self, caller: &Caller, bytes: usize) -> Result<Reservation, Refused> {
        let reserved = caller.account().reserve(bytes);
        Ok(reserved.map_err(|error| error.beside(caller.memory().bytes()))?)
    }

    /// The result of `work` in blocks, of about `flops` floating-point operations, by the caller's deadline, and where the
    /// time went. A caller that leaves ends it.
    ///
    /// Boxed: a handler's future has room for its largest branch and is copied before it is polled, so that a call which
    /// takes the short branch would pay for this one.
    pub fn compute_in_blocks<'a, V, F>(
        &'a self,
        caller: &Caller,
        flops: u64,
        work: impl FnOnce(Turns) -> F + Send + 'a,
    ) -> BoxFuture<'a, Computed<V>>
    where
        V: Send + 'static,
        F: Future<Output = V> + Send + 'static,
    {
        self.compute_in_blocks_until(caller, caller.deadline, flops, work)
    }

    /// [`Host::compute_in_blocks`] with another deadline than the caller's.
    pub fn compute_in_blocks_until<'a, V, F>(
        &'a self,
        caller: &Caller,
        deadline: Deadline,
        flops: u64,
        work: impl FnOnce(Turns) -> F + Send + 'a,
    ) -> BoxFuture<'a, Computed<V>>
    where
        V: Send + 'static,
        F: Future<Output = V> + Send + 'static,
    {
        let parties = caller.parties();
        let computed = async move {
            let computed = self
                .compute
                .run_in_blocks(parties, flops, self.quantum(), work);
            Ok(computed.await?)
        };
        deadline.limit(computed).boxed()
    }

    /// Takes `state` further with `advance` until that returns `false`, then makes a value of it with `finish`, by the
    /// caller's deadline. A caller that leaves ends it.
    ///
    /// # Errors
    /// A full queue, a panic, the deadline.
    pub async fn compute_in_turns<S: Send + 'static, V: Send + 'static>(
        &self,
        caller: &Caller,
        state: S,
        advance: impl FnMut(&mut S) -> bool + Send + 'static,
        finish: impl FnOnce(S) -> V + Send + 'static,
    ) -> Computed<V> {
        let (parties, quantum) = (caller.parties(), self.quantum());
        let computed = async {
            let turns = self
                .compute
                .run_in_turns(parties, quantum, state, advance, finish);
            Ok(turns.await?)
        };
        caller.deadline.limit(computed).await
    }

    /// The result of `work`, of about `flops` floating-point operations, by the caller's deadline, and where the time
    /// went. Work that is done at once is done by this call: what it returns then holds no more than the result.
    pub fn compute_by<V: Send + 'static>(
        &self,
        caller: &Caller,
        flops: u64,
        work: impl FnOnce(Par) -> V + Send + 'static,
    ) -> Either<Ready<Computed<V>>, BoxFuture<'_, Computed<V>>> {
        if self.compute.is_little(flops) {
            let computed = at_once(|| work(Par::Seq));
            return Either::Left(ready(computed.map_err(Refused::from)));
        }
        let parties = caller.parties();
        let computed = async move { Ok(self.compute.run(parties, flops, work).await?) };
        Either::Right(caller.deadline.limit(computed).boxed())
    }

    /// Refuses a call, or a step of a run, of about `flops` floating-point operations where that is more than one may take.
    ///
    /// # Errors
    /// It is.
    pub fn check_work(&self, flops: u64, way_out: &str) -> Result<(), Refused> {
        let limit = self.config.max_call_flops;
        if flops <= limit {
            return Ok(());
        }
        let message = format!(
            "this takes about {flops} floating-point operations, {limit} are allowed (max_call_flops): {way_out}, or send \
             fewer rows at a time"
        );
        Err(Refused::quota("max_call_flops", limit, message))
    }

    /// About how long a task may compute before others have their turn.
    pub fn quantum(&self) -> Duration {
        Duration::from_millis(self.config.quantum_ms)
    }
}
