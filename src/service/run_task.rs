//! One TrainBatch at work: it waits for the model's turn, trains on a compute thread a quantum at a time, tells its
//! readers, and ends when it is done or when something ends it.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use faer::Par;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::compute::{Scratch, Task, Timing, Turn, parallelism};
use super::deadline::Deadline;
use super::entry::ModelEntry;
use super::feed::Feed;
use super::persistence::NotStored;
use super::places::Place as StreamPlace;
use super::run_commits::Commits;
use super::run_event::{EndReason, RunEnd, RunStart};
use super::status::{Stop, stopped, too_many_steps};
use super::{Server, telemetry};
use crate::nn::Scalar;
use crate::training::{
    Advance, Begin, LARGEST_STEP, Model, Outcome, Plan, Run, StepMetrics, Workspace,
};

/// Readers hear of new steps this often, or sooner when a lot has gathered.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Metrics that make a report due before its time.
const REPORT_SIZE: usize = 1024;

/// Buffers above this, in bytes, are given back at a run's end: making them takes less than a step of it.
const LARGEST_LEFT: usize = 8 << 20;

/// The clock is read about this often between steps, however short they are.
const CLOCK_EVERY: Duration = Duration::from_micros(200);

/// The shortest time to live that a session may ask for.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// Set once by whatever ends a run; looked at after every step.
#[derive(Debug, Default)]
struct StopFlag(AtomicU8);

impl StopFlag {
    fn set(&self, stop: Stop) {
        let code = match stop {
            Stop::Deadline => 1,
            Stop::Client => 2,
            Stop::Shutdown => 3,
            Stop::Deleted => 4,
            Stop::RunTime => 5,
        };
        // The first reason counts.
        let _ = self
            .0
            .compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn get(&self) -> Option<Stop> {
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
pub async fn conduct<T: Scalar>(
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
        let begin = model.begin(plan.request.as_ref(), conditions.expected_step)?;
        let workspace = Workspace::bytes(&model, plan.minibatches.size());
        let memory = server.workspace(workspace)?;
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
    let task = RunTask {
        stage: Some(Stage::Ready(model, Box::new(plan))),
        entry: Arc::clone(&entry),
        caller: Arc::clone(&feed),
        start,
        pending: Vec::new(),
        stop: Arc::clone(&stop),
        quantum: Duration::from_millis(server.config.quantum_ms),
        clock_every: 1,
        last_report: None,
        asked,
        computed: Duration::ZERO,
        ended: Some(ended),
    };
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
            let renewed = server
                .registry()
                .session(&entry.name.session, SystemTime::now());
            let Ok(session) = renewed else {
                // Gone; whoever removes it cancels `deleted`.
                return std::future::pending().await;
            };
            let life = session.expires.duration_since(SystemTime::now());
            tokio::time::sleep(life.unwrap_or_default().max(SHORTEST_LEASE) / 4).await;
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

enum Stage<T: Scalar> {
    /// Buffers are made on the compute thread: they can be large.
    Ready(Arc<Model<T>>, Box<Plan<T>>),
    Running(Box<Run<T>>),
}

struct RunTask<T: Scalar> {
    stage: Option<Stage<T>>,
    entry: Arc<ModelEntry>,
    /// The feed of whoever asked for the run; the model's watchers have theirs in `entry`.
    caller: Arc<Feed>,
    start: RunStart,
    /// Steps that the readers have not heard of.
    pending: Vec<StepMetrics>,
    stop: Arc<StopFlag>,
    quantum: Duration,
    /// Steps between two looks at the clock.
    clock_every: u32,
    last_report: Option<Instant>,
    asked: Instant,
    computed: Duration,
    ended: Option<oneshot::Sender<RunEnd>>,
}

/// Leaves the buffers of a run that is over to the next one, unless they are large.
fn leave<T: Scalar>(run: Run<T>, scratch: &mut Scratch) {
    if run.workspace_bytes() <= LARGEST_LEFT {
        scratch.leave(run.into_workspace());
    }
}

impl<T: Scalar> Task for RunTask<T> {
    fn turn(&mut self, cores: usize, scratch: &mut Scratch) -> Turn {
        let began = Instant::now();
        let mut run = match self.stage.take() {
            Some(Stage::Ready(model, plan)) => {
                self.tell(|feed| feed.start(self.start));
                let done = self.start.resumed_steps;
                let earlier = scratch.take::<Workspace<T>>();
                Box::new(Run::within(earlier, model, *plan, done, Par::Seq))
            }
            Some(Stage::Running(run)) => run,
            None => return Turn::Done,
        };
        run.set_par(parallelism(cores));
        let advance = if self.stop.get().is_some() {
            Advance::Paused
        } else {
            // A panic must not lose the steps before it; what is left of the run notes them when dropped.
            match catch_unwind(AssertUnwindSafe(|| self.advance(&mut run, began))) {
                Ok(advance) => advance,
                Err(_) => {
                    self.computed += began.elapsed();
                    drop(run);
                    self.finish(|_, timing| RunEnd {
                        timing,
                        ..RunEnd::failed()
                    });
                    return Turn::Done;
                }
            }
        };
        self.computed += began.elapsed();
        self.entry.touch(SystemTime::now());
        match advance {
            Advance::Paused => match self.stop.get() {
                None => {
                    self.stage = Some(Stage::Running(run));
                    return Turn::Again;
                }
                Some(stop) => {
                    let end = RunEnd {
                        final_loss: run.last_loss(),
                        digest: Some(run.digest()),
                        ..RunEnd::new(
                            EndReason::Stopped(stop),
                            run.steps_done(),
                            run.current().step,
                            Timing::default(),
                        )
                    };
                    // Noted before anybody hears of the end, so that a retry finds it.
                    leave(*run, scratch);
                    self.finish(|_, timing| RunEnd { timing, ..end });
                }
            },
            Advance::Finished(summary) => {
                leave(*run, scratch);
                self.finish(|_, timing| RunEnd::finished(&summary, timing));
            }
            Advance::Diverged(divergence) => {
                leave(*run, scratch);
                self.finish(|_, timing| RunEnd::diverged(divergence, timing));
            }
        }
        Turn::Done
    }
}

impl<T: Scalar> RunTask<T> {
    /// Trains until the quantum is over, the run ends or something ends it.
    fn advance(&mut self, run: &mut Run<T>, began: Instant) -> Advance {
        let mut until_clock = 1;
        let mut looked = began;
        run.advance(|metrics| {
            self.pending.push(*metrics);
            if self.stop.get().is_some() {
                return ControlFlow::Break(());
            }
            until_clock -= 1;
            if until_clock > 0 && self.pending.len() < REPORT_SIZE {
                return ControlFlow::Continue(());
            }
            let now = Instant::now();
            self.report_if_due(now);
            if now - looked < CLOCK_EVERY {
                self.clock_every = (self.clock_every * 2).min(REPORT_SIZE as u32);
            } else {
                self.clock_every = (self.clock_every / 2).max(1);
            }
            looked = now;
            until_clock = self.clock_every;
            if now - began >= self.quantum {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    fn report_if_due(&mut self, now: Instant) {
        let due = self
            .last_report
            .is_none_or(|last| now - last >= REPORT_EVERY);
        if due || self.pending.len() >= REPORT_SIZE {
            self.report();
            self.last_report = Some(now);
        }
    }

    /// Tells the caller, and whoever watches the model by now.
    fn tell(&self, event: impl Fn(&Feed)) {
        event(&self.caller);
        for watcher in self.entry.feeds() {
            event(&watcher);
        }
    }

    fn report(&mut self) {
        self.tell(|feed| feed.steps(&self.pending));
        self.pending.clear();
    }

    fn finish(&mut self, end: impl FnOnce(&Self, Timing) -> RunEnd) {
        self.report();
        let timing = Timing {
            queued: self.asked.elapsed().saturating_sub(self.computed),
            computed: self.computed,
        };
        let end = end(self, timing);
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(end);
        }
    }
}
