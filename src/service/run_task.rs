//! One TrainBatch from its model's turn to its last commit: what may end it, and what becomes of it then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::compute::Timing;
use super::convert::request::check_workspace;
use super::convert::training::Bounds;
use super::deadline::Deadline;
use super::entry::{ModelEntry, ModelScalar};
use super::feed::Feed;
use super::memory::Reservation;
use super::persistence::NotStored;
use super::places::Place as StreamPlace;
use super::run_commits::Commits;
use super::run_event::{RunEnd, RunStart};
use super::run_turns::RunTask;
use super::status::{Stop, stopped, too_many_steps};
use super::{Server, telemetry};
use crate::training::{Begin, LARGEST_STEP, Model, Outcome, Plan, Workspace};

/// The shortest time to live that a session may ask for.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// Set once by whatever ends a run; looked at after every step.
#[derive(Debug, Default)]
pub struct StopFlag(AtomicU8);

impl StopFlag {
    /// Ends the run; the first reason counts.
    pub fn set(&self, stop: Stop) {
        let code = match stop {
            Stop::Deadline => 1,
            Stop::Client => 2,
            Stop::Shutdown => 3,
            Stop::Deleted => 4,
            Stop::RunTime => 5,
        };
        let _ = self
            .0
            .compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What ends the run, if something does.
    pub fn get(&self) -> Option<Stop> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(Stop::Deadline),
            2 => Some(Stop::Client),
            3 => Some(Stop::Shutdown),
            4 => Some(Stop::Deleted),
            5 => Some(Stop::RunTime),
            _ => None,
        }
    }
}

/// What a run needs to know besides its plan.
pub struct Conditions {
    /// The caller's deadline.
    pub deadline: Deadline,
    /// Cancelled when the caller is gone and the run is to end with it.
    pub caller_gone: CancellationToken,
    /// Refuses unless the model is here when the turn comes.
    pub expected_step: Option<i64>,
    /// Whether the end is acknowledged from memory.
    pub is_relaxed: bool,
    /// The place among its session's streams.
    pub _place: Arc<StreamPlace>,
}

/// Conducts a run to its end, whoever listens. `started` hears whether it began; `feed` hears the rest.
pub async fn conduct<T: ModelScalar>(
    server: Arc<Server>,
    entry: Arc<ModelEntry>,
    model: Arc<Model<T>>,
    plan: Plan<T>,
    conditions: Conditions,
    feed: Arc<Feed>,
    started: oneshot::Sender<Result<(), Status>>,
) {
    let asked = Instant::now();
    let ending = ending(&server, &entry, &conditions);
    tokio::pin!(ending);
    let turn = tokio::select! {
        biased;
        stop = &mut ending => Err(stopped(stop, None)),
        turn = entry.write_turn(&server.config) => turn,
    };
    let begun = turn.and_then(|(turn, position)| {
        let (begin, memory) = begin(&server, &entry, &model, &plan, conditions.expected_step)?;
        Ok((Arc::new(turn), position, begin, memory))
    });
    let (turn, queue_position, begin, _memory) = match begun {
        Ok(begun) => begun,
        Err(status) => {
            // A caller that has gone needs no answer.
            let _ = started.send(Err(status));
            return;
        }
    };
    let committed = model.committed().step;
    let resumed_steps = match begin {
        Begin::Fresh => 0,
        Begin::Resume { steps_done } => steps_done,
        Begin::Replay(outcome) => {
            let replayed = if conditions.is_relaxed {
                Ok(())
            } else {
                // Acknowledged from memory before; this time it is to be safe.
                server.persistence.catch_up(&entry, turn).await
            };
            let replayed = replayed.map_err(NotStored::status).and_then(|()| {
                let durable_step = entry.durable_step();
                replay(&outcome, queue_position, durable_step, &feed)
            });
            let _ = started.send(replayed);
            return;
        }
    };
    let planned_steps = plan.steps.saturating_sub(resumed_steps);
    if committed.saturating_add(planned_steps) > LARGEST_STEP {
        let _ = started.send(Err(too_many_steps(committed, planned_steps)));
        return;
    }
    let start = RunStart {
        step: committed,
        planned_steps,
        resumed_steps,
        replayed: false,
        queue_position,
    };
    let run_time = Duration::from_secs(server.config.max_run_seconds);
    let ending = async {
        tokio::select! {
            biased;
            stop = &mut ending => stop,
            () = tokio::time::sleep(run_time) => Stop::RunTime,
        }
    };
    tokio::pin!(ending);
    let mut commits = Commits::new(&server, &entry, &turn, &model, &plan, resumed_steps);
    let stop = Arc::new(StopFlag::default());
    let (ended, end) = oneshot::channel();
    let quantum = Duration::from_millis(server.config.quantum_ms);
    let task = RunTask::new(
        (model, plan, start),
        &entry,
        (&feed, ended),
        &stop,
        (quantum, asked),
    );
    if let Err(error) = server.compute.submit(Box::new(task)) {
        let _ = started.send(Err(error.into()));
        return;
    }
    let _ = started.send(Ok(()));
    let end = commits.make_during(supervise(ending, end, &stop)).await;
    let end = commits.make_last(end, conditions.is_relaxed).await;
    telemetry::run_ended(&entry.name, &end);
    // The turn outlasts what watchers hear of this run, so that they never hear of the next one first; the caller
    // hears last, and can count on the place in the queue being free.
    for watcher in entry.feeds() {
        watcher.end(end);
    }
    drop(turn);
    feed.end(end);
}

/// Refuses a run that is larger than one may be by now.
///
/// # Errors
/// It has too many rows or steps, or a step of it takes too much work or memory.
pub fn check_bounds<T: ModelScalar>(
    server: &Server,
    model: &Model<T>,
    plan: &Plan<T>,
) -> Result<(), Status> {
    Bounds::of(&server.config).check(plan)?;
    let rows = plan.minibatches.size();
    let pass = model.spec().architecture.forward_flops(rows);
    server.check_work(pass.saturating_mul(3), "set minibatch_size")?;
    let bytes = Workspace::bytes(model, rows);
    check_workspace(bytes, server.config.max_workspace_bytes)
}

/// How the run begins, and the memory that it takes. Where a limit was lowered, what was done before is answered, and nothing
/// else is done.
fn begin<T: ModelScalar>(
    server: &Server,
    entry: &ModelEntry,
    model: &Model<T>,
    plan: &Plan<T>,
    expected_step: Option<i64>,
) -> Result<(Begin, Option<Reservation>), Status> {
    let begin = model.begin(plan.request.as_ref(), expected_step)?;
    let memory = match begin {
        Begin::Fresh | Begin::Resume { .. } => {
            server.check_limits(entry)?;
            check_bounds(server, model, plan)?;
            let bytes = Workspace::bytes(model, plan.minibatches.size());
            Some(server.workspace(bytes)?)
        }
        Begin::Replay(_) => None,
    };
    Ok((begin, memory))
}

/// Waits for the end and passes on whatever is to bring it about.
async fn supervise(
    ending: std::pin::Pin<&mut impl Future<Output = Stop>>,
    mut end: oneshot::Receiver<RunEnd>,
    stop: &StopFlag,
) -> RunEnd {
    let end = tokio::select! {
        end = &mut end => end,
        reason = ending => {
            stop.set(reason);
            end.await
        }
    };
    // A task that is dropped without a word has panicked.
    end.unwrap_or_else(|_| RunEnd::failed())
}

/// Resolves when something is to end the run. While it does not, the session's lease is renewed.
async fn ending(server: &Server, entry: &ModelEntry, conditions: &Conditions) -> Stop {
    let renew = async {
        loop {
            // A session may live for less than the server's default.
            let now = server.now();
            let renewed = server.registry().session(&entry.name.session, now);
            let Ok(session) = renewed else {
                // Gone; whoever removes it cancels `deleted`.
                return std::future::pending().await;
            };
            tokio::time::sleep(session.remaining.max(SHORTEST_LEASE) / 4).await;
        }
    };
    tokio::select! {
        biased;
        () = entry.deleted.cancelled() => Stop::Deleted,
        () = server.shutdown.cancelled() => Stop::Shutdown,
        () = conditions.deadline.passed() => Stop::Deadline,
        () = conditions.caller_gone.cancelled() => Stop::Client,
        () = renew => Stop::Shutdown,
    }
}

/// Answers a repeated request with what became of the first.
fn replay(
    outcome: &Outcome,
    queue_position: usize,
    durable_step: Option<u64>,
    feed: &Feed,
) -> Result<(), Status> {
    let mut end = match outcome {
        Outcome::Finished(summary) => RunEnd::finished(summary, Timing::default()),
        Outcome::Diverged(divergence) => RunEnd::diverged(*divergence, Timing::default()),
        // These answer other questions than TrainBatch asks; a fingerprint never confuses them.
        Outcome::Interrupted { .. } | Outcome::ParametersSet { .. } => {
            return Err(super::status::internal());
        }
    };
    end.durable_step = durable_step;
    feed.start(RunStart {
        step: end.step,
        planned_steps: 0,
        resumed_steps: end.steps_done,
        replayed: true,
        queue_position,
    });
    feed.end(end);
    Ok(())
}
