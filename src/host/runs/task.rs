//! A run on the compute threads: steps until its quantum is over, or blocks of a step that takes longer than that.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use faer::Par;
use tokio::sync::oneshot;

use crate::host::compute::{InBlocks, Scratch, Task, Timing, Turn, parallelism};
use crate::host::models::handle::ModelEntry;
use crate::host::refused::Stop;
use crate::host::runs::event::{EndReason, RunEnd, RunStart};
use crate::host::runs::step_feed::Feed;
use crate::host::runs::stop_flag::StopFlag;
use crate::nn::{Scalar, WeightsDigest};
use crate::training::{Advance, Committed, Model, Plan, Run, StepMetrics, Workspace};

/// Readers hear of new steps this often, or sooner when a lot has gathered.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Metrics that make a report due before its time.
const REPORT_SIZE: usize = 1024;

/// Buffers above this, in bytes, are given back at a run's end: making them takes less than a step of it.
const LARGEST_LEFT: usize = 8 << 20;

/// The clock is read about this often between steps, however short they are.
const CLOCK_EVERY: Duration = Duration::from_micros(200);

/// A run in blocks: comes back with what it measured and where it stands then.
type Stepping<T> =
    Pin<Box<dyn Future<Output = (Box<Run<T>>, Option<StepMetrics>, Advance)> + Send>>;

/// The digest that the end of a run tells, in blocks.
type Digesting = Pin<Box<dyn Future<Output = WeightsDigest> + Send>>;

enum Stage<T: Scalar> {
    /// Buffers are made on the compute thread: they can be large.
    Ready(Arc<Model<T>>, Box<Plan<T>>),
    Running(Box<Run<T>>),
    /// In the middle of a long step, which ends where the run stood before if something ends the run.
    Stepping(InBlocks<Stepping<T>>, Standing<T>),
    /// Ended by something; a large model's digest takes a while.
    Ending(InBlocks<Digesting>, RunEnd),
}

/// Where a run stands between two steps.
struct Standing<T> {
    model: Arc<Model<T>>,
    current: Arc<Committed<T>>,
    steps_done: u64,
    last_loss: f64,
}

/// The part of a run that computes.
pub struct RunTask<T: Scalar> {
    stage: Option<Stage<T>>,
    entry: Arc<ModelEntry>,
    /// The feed of the run's own caller; the model's watchers have theirs in `entry`.
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
        // A panic must not lose the steps before it; what is left of the run notes them when dropped.
        let turn = catch_unwind(AssertUnwindSafe(|| self.go_on(began, cores, scratch)));
        self.computed += began.elapsed();
        self.entry.touch(SystemTime::now());
        match turn {
            Ok(None) => Turn::Again,
            Ok(Some(end)) => {
                self.finish(end);
                Turn::Done
            }
            Err(_) => {
                self.stage = None;
                self.finish(RunEnd::failed(&self.start, self.entry.model.step()));
                Turn::Done
            }
        }
    }
}

impl<T: Scalar> RunTask<T> {
    /// Trains `model` by `plan` from `start`, for a caller who hears of it through `feed` and of its end through `ended`, and
    /// asked for it at `asked`.
    pub fn new(
        (model, plan, start): (Arc<Model<T>>, Plan<T>, RunStart),
        entry: &Arc<ModelEntry>,
        (feed, ended): (&Arc<Feed>, oneshot::Sender<RunEnd>),
        stop: &Arc<StopFlag>,
        (quantum, asked): (Duration, Instant),
    ) -> Self {
        Self {
            stage: Some(Stage::Ready(model, Box::new(plan))),
            entry: Arc::clone(entry),
            caller: Arc::clone(feed),
            start,
            pending: Vec::new(),
            stop: Arc::clone(stop),
            quantum,
            clock_every: 1,
            last_report: None,
            asked,
            computed: Duration::ZERO,
            ended: Some(ended),
        }
    }

    /// Goes on for a turn; how the run ended, if it did.
    fn go_on(&mut self, began: Instant, cores: usize, scratch: &mut Scratch) -> Option<RunEnd> {
        match self.stage.take()? {
            Stage::Ready(model, plan) => {
                self.tell(|feed| feed.start(self.start));
                let done = self.start.resumed_steps;
                let earlier = scratch.take::<Workspace<T>>();
                let run = Box::new(Run::within(earlier, model, *plan, done, Par::Seq));
                self.run(run, began, cores, scratch)
            }
            Stage::Running(run) => self.run(run, began, cores, scratch),
            Stage::Stepping(mut step, standing) => {
                if let Some(stop) = self.stop.get() {
                    // Noted before anybody hears of the end, so that a retry finds it.
                    drop(step);
                    return self.stop_long(stop, standing, began, cores);
                }
                let Some((run, metrics, advance)) = step.turn(began, cores) else {
                    self.stage = Some(Stage::Stepping(step, standing));
                    return None;
                };
                self.pending.extend(metrics);
                self.report_if_due(Instant::now());
                self.conclude(run, advance, scratch)
            }
            Stage::Ending(mut digest, end) => match digest.turn(began, cores) {
                Some(digest) => Some(RunEnd {
                    digest: Some(digest),
                    ..end
                }),
                None => {
                    self.stage = Some(Stage::Ending(digest, end));
                    None
                }
            },
        }
    }

    /// Takes steps for the rest of the turn.
    fn run(
        &mut self,
        mut run: Box<Run<T>>,
        began: Instant,
        cores: usize,
        scratch: &mut Scratch,
    ) -> Option<RunEnd> {
        if run.is_long() {
            let standing = Standing {
                model: Arc::clone(run.model()),
                current: Arc::clone(run.current()),
                steps_done: run.steps_done(),
                last_loss: run.last_loss(),
            };
            if let Some(stop) = self.stop.get() {
                drop(run);
                return self.stop_long(stop, standing, began, cores);
            }
            let step = InBlocks::new(self.quantum, |turns| -> Stepping<T> {
                Box::pin(async move {
                    let (metrics, advance) = run.advance_in_blocks(&turns).await;
                    (run, metrics, advance)
                })
            });
            self.stage = Some(Stage::Stepping(step, standing));
            return self.go_on(began, cores, scratch);
        }
        run.set_par(parallelism(cores));
        let advance = if self.stop.get().is_some() {
            Advance::Paused
        } else {
            self.advance(&mut run, began)
        };
        self.conclude(run, advance, scratch)
    }

    /// What follows from where the run stands: its next turn, or its end.
    fn conclude(
        &mut self,
        run: Box<Run<T>>,
        advance: Advance,
        scratch: &mut Scratch,
    ) -> Option<RunEnd> {
        match advance {
            Advance::Paused => match self.stop.get() {
                Some(stop) if !run.is_long() => {
                    let (steps_done, step) = (run.steps_done(), run.current().step);
                    let end = RunEnd {
                        final_loss: Some(run.last_loss()),
                        digest: Some(run.digest()),
                        ..stopped(stop, steps_done, step)
                    };
                    // Noted before anybody hears of the end, so that a retry finds it.
                    leave(*run, scratch);
                    Some(end)
                }
                Some(_) | None => {
                    self.stage = Some(Stage::Running(run));
                    None
                }
            },
            Advance::Finished(summary) => {
                leave(*run, scratch);
                Some(RunEnd::finished(&summary, Timing::default()))
            }
            Advance::Diverged(divergence) => {
                leave(*run, scratch);
                Some(RunEnd::diverged(divergence, Timing::default()))
            }
        }
    }

    /// Ends a run of long steps where it stood before the one under way.
    fn stop_long(
        &mut self,
        stop: Stop,
        standing: Standing<T>,
        began: Instant,
        cores: usize,
    ) -> Option<RunEnd> {
        let Standing {
            model,
            current,
            steps_done,
            last_loss,
        } = standing;
        let end = RunEnd {
            final_loss: Some(last_loss),
            ..stopped(stop, steps_done, current.step)
        };
        let digest = InBlocks::new(self.quantum, |turns| -> Digesting {
            Box::pin(async move { current.digest_in_blocks(model.spec(), &turns).await })
        });
        self.stage = Some(Stage::Ending(digest, end));
        self.go_on(began, cores, &mut Scratch::default())
    }

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

    /// Tells the caller, and those who watch the model by now.
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

    fn finish(&mut self, end: RunEnd) {
        self.report();
        let timing = Timing {
            queued: self.asked.elapsed().saturating_sub(self.computed),
            computed: self.computed,
        };
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(RunEnd { timing, ..end });
        }
    }
}

fn stopped(stop: Stop, steps_done: u64, step: u64) -> RunEnd {
    RunEnd::new(
        EndReason::Stopped(stop),
        steps_done,
        step,
        Timing::default(),
    )
}
