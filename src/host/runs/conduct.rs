//! Conducts a run from its model's turn to its last commit, including everything that may stop it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::commit_times::Commits;
use super::event::{RunEnd, RunStart};
use super::held_out::{HeldOut, HeldOutPlan};
use super::model_runs::RunTicket;
use super::record::RunRecord;
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

/// The shortest time to live that a session may request.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// The conditions of a run besides its plan.
pub struct Conditions {
    /// The call that requested it.
    pub caller: Arc<Caller>,
    /// Cancelled when the caller has left and the run must end with it.
    pub caller_gone: CancellationToken,
    /// Requires the model to be at this step when the turn comes.
    pub expected_step: Option<i64>,
    /// Whether the end may be acknowledged from memory.
    pub is_relaxed: bool,
    /// Each is cancelled when a dataset of the run is deleted.
    pub datasets_gone: Vec<CancellationToken>,
    /// The stream slot of its session.
    pub _slot: Arc<StreamSlot>,
}

/// Conducts a run to its end, with or without a reader. `started` receives whether it began; `feed` receives the rest.
pub async fn conduct<T: ModelScalar>(
    host: Arc<Host>,
    entry: Arc<ModelEntry>,
    model: Arc<Model<T>>,
    (plan, held_out): (Plan<T>, Option<HeldOutPlan<T>>),
    conditions: Conditions,
    feed: Arc<Feed>,
    started: oneshot::Sender<Result<(), Refused>>,
) {
    let asked = Instant::now();
    let request_id = plan.request.as_ref().map_or("", |request| &request.id);
    // Until it is dropped, StopTraining finds the run and waits for its end.
    let ticket = host.runs.open(&entry.runs, request_id);
    let ending = ending(&host, &entry, &conditions, ticket.record());
    tokio::pin!(ending);
    let turn = tokio::select! {
        biased;
        stop = &mut ending => Err(Refused::Stopped(stop)),
        turn = entry.turns.change(&entry.name, &host.config) => turn,
    };
    let model = entry.model.in_turn(model);
    let begun = async {
        let (turn, position) = turn?;
        let planned = (&plan, held_out.as_ref());
        let (begin, memory) = begin(&host, &entry, &model, planned, &conditions).await?;
        Ok((Arc::new(turn), position, begin, memory))
    };
    let (turn, queue_position, begin, _memory) = match begun.await {
        Ok(begun) => begun,
        Err(refused) => {
            // The caller may have left.
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
                // The first attempt was acknowledged from memory; a repeat makes it durable.
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
        model,
        (plan, held_out, start),
        &entry,
        (&feed, ticket.record(), ended),
        &stop,
        (host.quantum(), asked),
    );
    let parties = conditions.caller.parties();
    // Before its first step, so that every caller that has seen `Started` can stop it.
    ticket.start(start, host.now().date);
    if let Err(error) = host.compute.submit(parties, Box::new(task)) {
        let _ = started.send(Err(error.into()));
        return;
    }
    let _ = started.send(Ok(()));
    let end = async {
        let end = supervise(ending, end, &stop).await;
        // A task dropped without a result has panicked.
        end.unwrap_or_else(|| RunEnd::failed(&start, entry.model.step()))
    };
    let end = commits.make_during(end).await;
    let end = commits.make_last(end, conditions.is_relaxed).await;
    report_end(&host, conditions.caller.id, &entry, &ticket, end);
    // The turn ends after watchers have received this run's end, so they never see the next run first. The caller
    // receives it last and can rely on the queue position being free.
    drop(turn);
    feed.end(end);
}

/// Reports the end of a run to the log, to late readers and to watchers.
fn report_end(host: &Host, call: u64, entry: &ModelEntry, ticket: &RunTicket, end: RunEnd) {
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
    ticket.end(end, host.now().date);
    for watcher in entry.feeds() {
        watcher.end(end);
    }
}

impl Host {
    /// Checks a run against today's limits.
    ///
    /// # Errors
    /// It has too many rows or steps, or one of its steps needs too much work or memory.
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

/// Begins the run and reserves its memory. If a limit was lowered, a repeated request still gets its stored outcome,
/// and nothing else runs.
async fn begin<T: ModelScalar>(
    host: &Host,
    entry: &ModelEntry,
    model: &Model<T>,
    (plan, held_out): (&Plan<T>, Option<&HeldOutPlan<T>>),
    conditions: &Conditions,
) -> Result<(Begin, Option<Reservation>), Refused> {
    let request = plan.request.as_ref();
    let begun = host.begin(entry, model, request, conditions.expected_step);
    let begin = begun.await?;
    let memory = match begin {
        Begin::Fresh | Begin::Resume { .. } => {
            host.check_limits(entry)?;
            host.check_bounds(model, plan)?;
            let evaluation = held_out.map_or(0, |held_out| HeldOut::bytes(held_out, model));
            let bytes = Workspace::bytes(model, plan.minibatches.size());
            let bytes = bytes.saturating_add(evaluation);
            Some(host.workspace(&conditions.caller, bytes)?)
        }
        Begin::Replay(_) => None,
    };
    Ok((begin, memory))
}

/// Waits for the end, and forwards every reason to stop the run.
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

/// Resolves when the run should stop. Renews the session's lease until then.
async fn ending(
    host: &Host,
    entry: &ModelEntry,
    conditions: &Conditions,
    record: &RunRecord,
) -> Stop {
    let renew = async {
        loop {
            // A session's time to live may be shorter than the server's default.
            let now = host.now();
            let renewed = host.registry().session(&entry.name.session, now);
            let Ok(session) = renewed else {
                // The session is gone; its removal cancels `deleted`.
                return std::future::pending().await;
            };
            tokio::time::sleep(session.remaining.max(SHORTEST_LEASE) / 4).await;
        }
    };
    let datasets_gone = async {
        let gone = conditions.datasets_gone.iter();
        let gone: Vec<_> = gone.map(|gone| Box::pin(gone.cancelled())).collect();
        if gone.is_empty() {
            return std::future::pending().await;
        }
        select_all(gone).await;
    };
    tokio::select! {
        biased;
        () = entry.deleted.cancelled() => entry.stop(),
        () = datasets_gone => Stop::DatasetDeleted,
        () = host.shutdown.cancelled() => Stop::Shutdown,
        () = record.stopped() => Stop::Requested,
        () = conditions.caller.deadline.passed() => Stop::Deadline,
        () = conditions.caller_gone.cancelled() => Stop::Client,
        () = renew => Stop::Shutdown,
    }
}

/// Answers a repeated request with the stored outcome of the first.
fn replay(
    outcome: &Outcome,
    queue_position: usize,
    durable_step: Option<u64>,
    feed: &Feed,
) -> Result<(), Refused> {
    let mut end = match outcome {
        Outcome::Finished(summary) => RunEnd::finished(summary, Timing::default()),
        Outcome::Diverged(divergence) => RunEnd::diverged(*divergence, Timing::default()),
        // Unreachable: the fingerprint keeps requests of different kinds apart.
        Outcome::Interrupted { .. }
        | Outcome::ParametersSet { .. }
        | Outcome::GradientApplied(_)
        | Outcome::SpecUpdated { .. } => {
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
