//! A run as a compute task: whole steps until the quantum is over, or blocks of a step that takes longer than that.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use faer::Par;
use tokio::sync::oneshot;

use crate::host::compute::{InBlocks, Scratch, Task, Timing, Turn, parallelism};
use crate::host::evaluate::evaluate;
use crate::host::models::handle::ModelEntry;
use crate::host::refused::Stop;
use crate::host::runs::event::{EndReason, RunEnd, RunStart};
use crate::host::runs::held_out::{HeldOut, HeldOutPlan};
use crate::host::runs::record::RunRecord;
use crate::host::runs::step_feed::{Feed, REPORT_EVERY};
use crate::host::runs::stop_flag::StopFlag;
use crate::host::tags::ModelTag;
use crate::nn::evaluation::{Evaluated, EvaluationParts};
use crate::nn::{SamplesError, Scalar, WeightsDigest};
use crate::training::{Advance, Committed, Model, Plan, Run, RunSummary, StepMetrics, Workspace};

/// Number of metrics that triggers an early report.
const REPORT_SIZE: usize = 1024;

/// Buffers larger than this, in bytes, are freed at a run's end: allocating them is cheap compared to one of its steps.
const LARGEST_LEFT: usize = 8 << 20;

/// Target interval between two clock readings, however short the steps are.
const CLOCK_EVERY: Duration = Duration::from_micros(200);

/// A long step in blocks: returns the run and its measurements.
type StepFuture<T> =
    Pin<Box<dyn Future<Output = (Box<Run<T>>, Option<StepMetrics>, Advance)> + Send>>;

/// An evaluation on held-out samples.
type EvaluationFuture = Pin<Box<dyn Future<Output = Result<Evaluated, SamplesError>> + Send>>;

/// The end of a run that was evaluated, with its digest.
type FinishFuture<T> = Pin<Box<dyn Future<Output = (Box<Run<T>>, RunSummary)> + Send>>;

/// The digest at the end of a run, computed in blocks.
type DigestFuture = Pin<Box<dyn Future<Output = WeightsDigest> + Send>>;

enum Stage<T: Scalar> {
    /// Buffers are allocated on the compute thread, because they can be large.
    Ready(Arc<Model<T>>, Box<Plan<T>>),
    Running(Box<Run<T>>),
    /// In the middle of a long step. If the run is stopped, the step is abandoned and the run ends at its previous
    /// state.
    Stepping(InBlocks<StepFuture<T>>, RunState<T>),
    /// Between two steps, while the model is evaluated.
    Evaluating(InBlocks<EvaluationFuture>, Box<Run<T>>),
    /// After the last evaluation.
    Finishing(InBlocks<FinishFuture<T>>, bool),
    /// At the end; the digest of a large model takes several turns.
    Ending(InBlocks<DigestFuture>, RunEnd),
}

/// The state of a run between two steps.
struct RunState<T> {
    model: Arc<Model<T>>,
    current: Arc<Committed<T>>,
    steps_done: u64,
    last_loss: f64,
}

/// The computing part of a run.
pub struct RunTask<T: Scalar> {
    stage: Option<Stage<T>>,
    entry: Arc<ModelEntry>,
    /// The feed of the run's own caller; the feeds of watchers are in `entry`.
    caller: Arc<Feed>,
    /// For readers that come late.
    record: Arc<RunRecord>,
    held_out: Option<HeldOut<T>>,
    start: RunStart,
    /// Steps not yet reported.
    pending: Vec<StepMetrics>,
    stop: Arc<StopFlag>,
    quantum: Duration,
    /// Steps between two clock readings.
    clock_every: u32,
    last_report: Option<Instant>,
    asked: Instant,
    computed: Duration,
    ended: Option<oneshot::Sender<RunEnd>>,
}

/// Leaves the buffers of a finished run for the next one, unless they are large.
fn leave<T: Scalar>(run: Run<T>, scratch: &mut Scratch) {
    if run.workspace_bytes() <= LARGEST_LEFT {
        scratch.leave(run.into_workspace());
    }
}

impl<T: Scalar> Task for RunTask<T> {
    fn turn(&mut self, cores: usize, scratch: &mut Scratch) -> Turn {
        let began = Instant::now();
        // A panic must not lose the steps before it; dropping the rest of the run records them.
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
    /// Trains `model` by `plan` from `start`. Progress goes to `feed`, the end to `ended`; `asked` is when the caller
    /// asked for the run.
    pub fn new(
        model: Arc<Model<T>>,
        (plan, held_out, start): (Plan<T>, Option<HeldOutPlan<T>>, RunStart),
        entry: &Arc<ModelEntry>,
        (feed, record, ended): (&Arc<Feed>, &Arc<RunRecord>, oneshot::Sender<RunEnd>),
        stop: &Arc<StopFlag>,
        (quantum, asked): (Duration, Instant),
    ) -> Self {
        Self {
            stage: Some(Stage::Ready(model, Box::new(plan))),
            entry: Arc::clone(entry),
            caller: Arc::clone(feed),
            record: Arc::clone(record),
            held_out: held_out.map(HeldOut::new),
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

    /// Runs one turn; returns the run's end, if reached.
    fn go_on(&mut self, began: Instant, cores: usize, scratch: &mut Scratch) -> Option<RunEnd> {
        match self.stage.take()? {
            Stage::Ready(model, plan) => {
                self.notify(|feed| feed.start(self.start));
                let done = self.start.resumed_steps;
                let earlier = scratch.take::<Workspace<T>>();
                let mut run = Box::new(Run::within(earlier, model, *plan, done, Par::Seq));
                if self.held_out.is_some() {
                    run.wait_at_end();
                }
                self.run(run, began, cores, scratch)
            }
            Stage::Running(run) => self.run(run, began, cores, scratch),
            Stage::Stepping(mut step, state) => {
                if let Some(stop) = self.stop.get() {
                    // Recorded before the end is reported, so that a retry finds it.
                    drop(step);
                    return self.stop_long(stop, state, began, cores);
                }
                let Some((run, metrics, advance)) = step.turn(began, cores) else {
                    self.stage = Some(Stage::Stepping(step, state));
                    return None;
                };
                self.pending.extend(metrics);
                self.report_if_due(Instant::now());
                self.conclude(run, advance, scratch)
            }
            Stage::Evaluating(mut evaluation, run) => {
                if self.stop.get().is_some() {
                    drop(evaluation);
                    return self.run(run, began, cores, scratch);
                }
                match evaluation.turn(began, cores) {
                    None => {
                        self.stage = Some(Stage::Evaluating(evaluation, run));
                        None
                    }
                    Some(Ok(evaluated)) => self.evaluated(run, &evaluated),
                    Some(Err(error)) => Some(self.without_samples(*run, &error, scratch)),
                }
            }
            Stage::Finishing(mut finish, is_returned) => match finish.turn(began, cores) {
                None => {
                    self.stage = Some(Stage::Finishing(finish, is_returned));
                    None
                }
                Some((run, summary)) => {
                    leave(*run, scratch);
                    Some(RunEnd {
                        is_returned,
                        ..RunEnd::finished(&summary, Timing::default())
                    })
                }
            },
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
            let state = RunState {
                model: Arc::clone(run.model()),
                current: Arc::clone(run.current()),
                steps_done: run.steps_done(),
                last_loss: run.last_loss(),
            };
            if let Some(stop) = self.stop.get() {
                drop(run);
                return self.stop_long(stop, state, began, cores);
            }
            let step = InBlocks::new(self.quantum, |turns| -> StepFuture<T> {
                Box::pin(async move {
                    let (metrics, advance) = run.advance_in_blocks(&turns).await;
                    (run, metrics, advance)
                })
            });
            self.stage = Some(Stage::Stepping(step, state));
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

    /// Decides what follows: another turn, or the end.
    fn conclude(
        &mut self,
        run: Box<Run<T>>,
        advance: Advance,
        scratch: &mut Scratch,
    ) -> Option<RunEnd> {
        match advance {
            Advance::Paused => match self.stop.get() {
                Some(stop) if !run.is_long() => Some(stop_here(*run, stop, scratch)),
                None if self.is_evaluation_due(&run) => {
                    self.stage = Some(Stage::Evaluating(self.evaluation(&run), run));
                    None
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
            Advance::NoSamples(error) => Some(self.without_samples(*run, &error, scratch)),
            Advance::Diverged(divergence) => {
                leave(*run, scratch);
                Some(RunEnd::diverged(divergence, Timing::default()))
            }
        }
    }

    /// Ends a run whose samples cannot be fetched.
    fn without_samples(&self, run: Run<T>, error: &SamplesError, scratch: &mut Scratch) -> RunEnd {
        let model = ModelTag(&self.entry.name);
        tracing::error!(%error, %model, "the samples of a run cannot be read");
        stop_here(run, Stop::DatasetUnreadable, scratch)
    }

    fn is_evaluation_due(&self, run: &Run<T>) -> bool {
        let held_out = self.held_out.as_ref();
        held_out.is_some_and(|held_out| held_out.is_due(run.steps_done(), run.is_at_end()))
    }

    /// Evaluates the last committed step.
    fn evaluation(&self, run: &Run<T>) -> InBlocks<EvaluationFuture> {
        let samples = self.held_out.as_ref().map(HeldOut::samples);
        let (model, committed) = (Arc::clone(run.model()), Arc::clone(run.current()));
        InBlocks::new(self.quantum, |turns| -> EvaluationFuture {
            Box::pin(async move {
                let samples = samples.expect("an evaluation is due only with held-out samples");
                let parts = EvaluationParts::default();
                evaluate(model.spec(), &committed, &*samples, parts, &turns).await
            })
        })
    }

    /// Reports an evaluation, and decides whether the run goes on.
    fn evaluated(&mut self, mut run: Box<Run<T>>, evaluated: &Evaluated) -> Option<RunEnd> {
        // Readers see the steps before it first.
        self.report(Instant::now());
        let held_out = self.held_out.as_mut()?;
        let taken = (run.steps_done(), run.epoch());
        let (metrics, is_over) = held_out.note(run.current(), taken, evaluated);
        let concluded = (is_over || run.is_at_end()).then(|| held_out.conclude(&mut run));
        self.notify(|feed| feed.held_out(metrics));
        self.record.held_out(metrics);
        self.stage = Some(match concluded {
            None => Stage::Running(run),
            Some((best_step, is_returned)) => {
                let finish = InBlocks::new(self.quantum, |turns| -> FinishFuture<T> {
                    Box::pin(async move {
                        let summary = run.finish_now(best_step, &turns).await;
                        (run, summary)
                    })
                });
                Stage::Finishing(finish, is_returned)
            }
        });
        None
    }

    /// Stops a run of long steps at its state before the current step.
    fn stop_long(
        &mut self,
        stop: Stop,
        state: RunState<T>,
        began: Instant,
        cores: usize,
    ) -> Option<RunEnd> {
        let RunState {
            model,
            current,
            steps_done,
            last_loss,
        } = state;
        let end = RunEnd {
            final_loss: Some(last_loss),
            ..stopped(stop, steps_done, current.step)
        };
        let digest = InBlocks::new(self.quantum, |turns| -> DigestFuture {
            Box::pin(async move { current.digest_in_blocks(model.spec(), &turns).await })
        });
        self.stage = Some(Stage::Ending(digest, end));
        self.go_on(began, cores, &mut Scratch::default())
    }

    /// Trains until the quantum is over, or the run ends or is stopped.
    fn advance(&mut self, run: &mut Run<T>, began: Instant) -> Advance {
        let mut until_clock = 1;
        let mut looked = began;
        run.advance(|metrics| {
            self.pending.push(*metrics);
            if self.stop.get().is_some() || self.is_evaluated_after(metrics.step) {
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

    /// Whether the run pauses after this step of the model to be evaluated.
    fn is_evaluated_after(&self, step: u64) -> bool {
        let steps_done = self.start.resumed_steps + (step - self.start.step);
        let held_out = self.held_out.as_ref();
        held_out.is_some_and(|held_out| held_out.is_due(steps_done, false))
    }

    fn report_if_due(&mut self, now: Instant) {
        let due = self
            .last_report
            .is_none_or(|last| now - last >= REPORT_EVERY);
        if due || self.pending.len() >= REPORT_SIZE {
            self.report(now);
            self.last_report = Some(now);
        }
    }

    /// Reports an event to the caller and the model's current watchers.
    fn notify(&self, event: impl Fn(&Feed)) {
        event(&self.caller);
        for watcher in self.entry.feeds() {
            event(&watcher);
        }
    }

    fn report(&mut self, now: Instant) {
        self.notify(|feed| feed.steps(&self.pending, now));
        self.record.steps(&self.pending);
        self.pending.clear();
    }

    fn finish(&mut self, end: RunEnd) {
        self.report(Instant::now());
        let timing = Timing {
            queued: self.asked.elapsed().saturating_sub(self.computed),
            computed: self.computed,
        };
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(RunEnd { timing, ..end });
        }
    }
}

/// Ends a run at its last step.
fn stop_here<T: Scalar>(run: Run<T>, stop: Stop, scratch: &mut Scratch) -> RunEnd {
    let end = RunEnd {
        final_loss: Some(run.last_loss()),
        digest: Some(run.digest()),
        ..stopped(stop, run.steps_done(), run.current().step)
    };
    // Recorded before the end is reported, so that a retry finds it.
    leave(run, scratch);
    end
}

fn stopped(stop: Stop, steps_done: u64, step: u64) -> RunEnd {
    RunEnd::new(
        EndReason::Stopped(stop),
        steps_done,
        step,
        Timing::default(),
    )
}
