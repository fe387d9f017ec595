//! A run from its model's turn to its last commit: what may end it, and what becomes of it then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::commits::Commits;
use super::event::{RunEnd, RunStart};
use super::step_feed::Feed;
use super::stop_flag::StopFlag;
use super::task::RunTask;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::compute::Timing;
use crate::host::limits::memory::Reservation;
use crate::host::limits::stream_slots::StreamSlot;
use crate::host::models::any_model::ModelScalar;
use crate::host::models::handle::ModelEntry;
use crate::host::parts::run::Bounds;
use crate::host::refused::{Refused, Stop};
use crate::host::tags::ModelTag;
use crate::training::{Begin, LARGEST_STEP, Model, Outcome, Plan, Workspace};

/// The shortest time to live that a session may ask for.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// What a run needs to know besides its plan.
pub struct Conditions {
    /// Who asks for it.
    pub caller: Arc<Caller>,
    /// Cancelled when the caller is gone and the run is to end with it.
    pub caller_gone: CancellationToken,
    /// Refuses unless the model is here when the turn comes.
    pub expected_step: Option<i64>,
    /// Whether the end is acknowledged from memory.
    pub is_relaxed: bool,
    /// The slot among its session's streams.
    pub _slot: Arc<StreamSlot>,
}

/// Conducts a run to its end, with or without a reader. `started` hears whether it began; `feed` hears the rest.
pub async fn conduct<T: ModelScalar>(
    host: Arc<Host>,
    entry: Arc<ModelEntry>,
    model: Arc<Model<T>>,
    plan: Plan<T>,
    conditions: Conditions,
    feed: Arc<Feed>,
    started: oneshot::Sender<Result<(), Refused>>,
) {
    let asked = Instant::now();
    let ending = ending(&host, &entry, &conditions);
    tokio::pin!(ending);
    let turn = tokio::select! {
        biased;
        stop = &mut ending => Err(Refused::Stopped(stop)),
        turn = entry.write_turn(&host.config) => turn,
    };
    let begun = turn.and_then(|(turn, position)| {
        let (begin, memory) = begin(&host, &entry, &model, &plan, &conditions)?;
        Ok((Arc::new(turn), position, begin, memory))
    });
    let (turn, queue_position, begin, _memory) = match begun {
        Ok(begun) => begun,
        Err(refused) => {
            // A caller that has gone needs no answer.
            let _ = started.send(Err(refused));
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
                host.persistence.catch_up(&entry, turn).await
            };
            let replayed = replayed.map_err(Refused::from).and_then(|()| {
                let durable_step = entry.durable_step();
                replay(&outcome, queue_position, durable_step, &feed)
            });
            let _ = started.send(replayed);
            return;
        }
    };
    let planned_steps = plan.steps.saturating_sub(resumed_steps);
    if committed.saturating_add(planned_steps) > LARGEST_STEP {
        let _ = started.send(Err(Refused::TooManySteps {
            step: committed,
            planned: planned_steps,
        }));
        return;
    }
    let start = RunStart {
        step: committed,
        planned_steps,
        resumed_steps,
        replayed: false,
        queue_position,
    };
    let run_time = Duration::from_secs(host.config.max_run_seconds);
    let ending = async {
        tokio::select! {
            biased;
            stop = &mut ending => stop,
            () = tokio::time::sleep(run_time) => Stop::RunTime,
        }
    };
    tokio::pin!(ending);
    let mut commits = Commits::new(&host, &entry, &turn, &model, &plan, resumed_steps);
    let stop = Arc::new(StopFlag::default());
    let (ended, end) = oneshot::channel();
    let task = RunTask::new(
        (model, plan, start),
        &entry,
        (&feed, ended),
        &stop,
        (host.quantum(), asked),
    );
    let parties = conditions.caller.parties();
    if let Err(error) = host.compute.submit(parties, Box::new(task)) {
        let _ = started.send(Err(error.into()));
        return;
    }
    let _ = started.send(Ok(()));
    let end = async {
        let end = supervise(ending, end, &stop).await;
        // A task that is dropped without a word has panicked.
        end.unwrap_or_else(|| RunEnd::failed(&start, entry.model.step()))
    };
    let end = commits.make_during(end).await;
    let end = commits.make_last(end, conditions.is_relaxed).await;
    log_end(conditions.caller.id, &entry, &end);
    // The turn outlasts what watchers hear of this run, so that they never hear of the next one first; the caller
    // hears last, and can count on the place in the queue being free.
    for watcher in entry.feeds() {
        watcher.end(end);
    }
    drop(turn);
    feed.end(end);
}

fn log_end(call: u64, entry: &ModelEntry, end: &RunEnd) {
    tracing::info!(
        call,
        model = %ModelTag(&entry.name),
        reason = ?end.reason,
        steps_done = end.steps_done,
        step = end.step,
        queued_ms = end.timing.queued.as_secs_f64() * 1e3,
        computed_ms = end.timing.computed.as_secs_f64() * 1e3,
        "run ended"
    );
}

impl Host {
    /// Refuses a run that is larger than one may be by now.
    ///
    /// # Errors
    /// It has too many rows or steps, or a step of it takes too much work or memory.
    pub fn check_bounds<T: ModelScalar>(
        &self,
        model: &Model<T>,
        plan: &Plan<T>,
    ) -> Result<(), Refused> {
        Bounds::of(&self.config).check(plan)?;
        let rows = plan.minibatches.size();
        let pass = model.spec().architecture.forward_flops(rows);
        self.check_work(pass.saturating_mul(3), "set minibatch_size")?;
        self.check_workspace(Workspace::bytes(model, rows))
    }
}

/// How the run begins, and the memory that it takes. Where a limit was lowered, what was done before is answered, and nothing
/// else is done.
fn begin<T: ModelScalar>(
    host: &Host,
    entry: &ModelEntry,
    model: &Model<T>,
    plan: &Plan<T>,
    conditions: &Conditions,
) -> Result<(Begin, Option<Reservation>), Refused> {
    let begin = model.begin(plan.request.as_ref(), conditions.expected_step)?;
    let memory = match begin {
        Begin::Fresh | Begin::Resume { .. } => {
            host.check_limits(entry)?;
            host.check_bounds(model, plan)?;
            let bytes = Workspace::bytes(model, plan.minibatches.size());
            Some(host.workspace(&conditions.caller, bytes)?)
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
) -> Option<RunEnd> {
    let end = tokio::select! {
        end = &mut end => end,
        reason = ending => {
            stop.set(reason);
            end.await
        }
    };
    end.ok()
}

/// Resolves when something is to end the run. While it does not, the session's lease is renewed.
async fn ending(host: &Host, entry: &ModelEntry, conditions: &Conditions) -> Stop {
    let renew = async {
        loop {
            // A session may live for less than the server's default.
            let now = host.now();
            let renewed = host.registry().session(&entry.name.session, now);
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
        () = host.shutdown.cancelled() => Stop::Shutdown,
        () = conditions.caller.deadline.passed() => Stop::Deadline,
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
) -> Result<(), Refused> {
    let mut end = match outcome {
        Outcome::Finished(summary) => RunEnd::finished(summary, Timing::default()),
        Outcome::Diverged(divergence) => RunEnd::diverged(*divergence, Timing::default()),
        // These answer other questions than TrainBatch asks; a fingerprint never confuses them.
        Outcome::Interrupted { .. } | Outcome::ParametersSet { .. } => {
            return Err(Refused::Bug);
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
