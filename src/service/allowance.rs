//! What a call takes of the server: memory, and time on the compute threads. Each of these looks at what the call may take.

use std::future::{Future, Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use faer::Par;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use tonic::Status;

use super::compute::{Timing, Turns, at_once};
use super::convert::request::check_workspace;
use super::deadline::Deadline;
use super::encoded::LARGE;
use super::memory::{OutOfMemory, Reservation};
use super::{Server, status, telemetry};

/// What a computation comes to, and where its time went.
type Computed<V> = Result<(V, Timing), Status>;

impl Server {
    /// Memory for the intermediate quantities of a call.
    ///
    /// # Errors
    /// More than a call may take, or than is free.
    pub(super) fn workspace(&self, bytes: usize) -> Result<Reservation, Status> {
        check_workspace(bytes, self.config.max_workspace_bytes)?;
        if telemetry::use_spare(bytes) {
            return Ok(Reservation::default());
        }
        self.reserve(bytes)
    }

    /// Memory for the call under way.
    ///
    /// # Errors
    /// More than is free, or than its connection or address may hold.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reservation, Status> {
        let account = telemetry::account();
        let account = account.unwrap_or_else(|| Arc::clone(&self.memory));
        let reserved = account.reserve(bytes);
        Ok(reserved.map_err(|error| error.beside(telemetry::held()))?)
    }

    /// Memory for the call under way until it is answered.
    ///
    /// # Errors
    /// As above.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Status> {
        Ok(telemetry::hold(bytes)?)
    }

    /// Memory for a reply of so many bytes: its own where it is large, the call's where it is not.
    ///
    /// # Errors
    /// As above.
    pub(super) fn room_for_reply(&self, bytes: usize) -> Result<Option<Reservation>, Status> {
        if bytes < LARGE {
            self.hold(bytes)?;
            return Ok(None);
        }
        self.reserve(bytes).map(Some)
    }

    /// What `work` in blocks, of about `flops` floating-point operations, comes to by the caller's deadline, and where the time
    /// went. A caller that leaves ends it.
    ///
    /// Boxed: a handler's future has room for its largest branch and is copied before it is polled, so that a call which
    /// takes the short branch would pay for this one.
    pub(super) fn compute_in_blocks<'a, V, F>(
        &'a self,
        deadline: Deadline,
        flops: u64,
        work: impl FnOnce(Turns) -> F + Send + 'a,
    ) -> BoxFuture<'a, Computed<V>>
    where
        V: Send + 'static,
        F: Future<Output = V> + Send + 'static,
    {
        let quantum = Duration::from_millis(self.config.quantum_ms);
        let computed = async move { Ok(self.compute.run_in_blocks(flops, quantum, work).await?) };
        deadline.limit(computed).boxed()
    }

    /// Refuses a call, or a step of a run, of about `flops` floating-point operations where that is more than one may take.
    ///
    /// # Errors
    /// It is.
    pub(super) fn check_work(&self, flops: u64, way_out: &str) -> Result<(), Status> {
        let limit = self.config.max_call_flops;
        if flops <= limit {
            return Ok(());
        }
        let message = format!(
            "this takes about {flops} floating-point operations, {limit} are allowed (max_call_flops): {way_out}, or send \
             fewer rows at a time"
        );
        Err(status::limited("QUOTA", "max_call_flops", limit, &message))
    }

    /// What `work`, of about `flops` floating-point operations, comes to by the caller's deadline, and where the time
    /// went. Work that is done at once is done by this call: what it returns then holds no more than the result.
    pub(super) fn compute_by<V: Send + 'static>(
        &self,
        deadline: Deadline,
        flops: u64,
        work: impl FnOnce(Par) -> V + Send + 'static,
    ) -> Either<Ready<Computed<V>>, BoxFuture<'_, Computed<V>>> {
        if self.compute.is_little(flops) {
            let computed = at_once(|| work(Par::Seq));
            return Either::Left(ready(computed.map_err(Status::from)));
        }
        let computed = async move { Ok(self.compute.run(flops, work).await?) };
        Either::Right(deadline.limit(computed).boxed())
    }
}

/// No memory; trying again later helps, unless the call would not fit on an idle server.
impl From<OutOfMemory> for Status {
    fn from(error: OutOfMemory) -> Self {
        let limit = error.limit as u64;
        if error.is_final() {
            let message = format!(
                "this takes about {} bytes at once, and one call can have {} of the {limit} that all calls may hold \
                 (max_in_flight_bytes): ask for less, or have the limit raised",
                error.needed, error.most
            );
            return status::limited("QUOTA", "max_in_flight_bytes", limit, &message);
        }
        let message = format!(
            "{error}: all calls may hold {limit} (max_in_flight_bytes), and one address or connection a part of what \
             is free; try again in a second, or with less at a time"
        );
        status::busy("max_in_flight_bytes", limit, &message)
    }
}
