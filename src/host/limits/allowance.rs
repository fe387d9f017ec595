//! Reserves memory and compute time for calls, within the configured limits.

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

/// A result with its timing.
type Computed<V> = Result<(V, Timing), Refused>;

impl Host {
    /// Reserves memory for a call's intermediate values.
    ///
    /// # Errors
    /// More than one call may use, or than is free.
    pub fn workspace(&self, caller: &Caller, bytes: usize) -> Result<Reservation, Refused> {
        self.check_workspace(bytes)?;
        if caller.memory().use_spare(bytes) {
            return Ok(Reservation::default());
        }
        self.reserve(caller, bytes)
    }

    /// Checks the size of a call's intermediate values.
    ///
    /// # Errors
    /// `bytes` exceeds the limit for one call.
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

    /// Reserves memory for a call in addition to that of its request.
    ///
    /// # Errors
    /// More than is free, or than its connection or address may hold.
    pub fn reserve(&self, caller: &Caller, bytes: usize) -> Result<Reservation, Refused> {
        let reserved = caller.account().reserve(bytes);
        Ok(reserved.map_err(|error| error.beside(caller.memory().bytes()))?)
    }

    /// Runs `work` in blocks, about `flops` floating-point operations, until the caller's deadline; returns its result
    /// and timing. It ends when the caller leaves.
    ///
    /// Boxed, because a handler's future reserves space for its largest branch and is copied before it is polled: calls
    /// that take the short branch would pay for this one.
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

    /// [`Host::compute_in_blocks`] with an explicit deadline.
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

    /// Calls `advance` on `state` until it returns `false`, then converts the state with `finish`, until the caller's
    /// deadline. The computation ends when the caller leaves.
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

    /// Runs `work`, about `flops` floating-point operations, until the caller's deadline; returns its result and
    /// timing. Inline work is done before this returns; the returned future holds only the result.
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

    /// Checks the size of a call or of one step of a run, in floating-point operations.
    ///
    /// # Errors
    /// It exceeds the limit; the message suggests `way_out`.
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

    /// The length of a turn on the compute threads, roughly.
    pub fn quantum(&self) -> Duration {
        Duration::from_millis(self.config.quantum_ms)
    }
}
