//! The record of a run: its beginning, its end, its metrics, and whether it should stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use super::curve::Curve;
use super::event::{RunEnd, RunStart};
use super::held_out::HeldOutMetrics;
use crate::training::StepMetrics;

/// The id of a run: unique on this server, and unlikely to have been given by one before a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId {
    /// Drawn at random at startup.
    pub boot: u32,
    /// Counts the runs of all models since then.
    pub number: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{:08x}-{}", self.boot, self.number)
    }
}

/// A run that waits, is in progress, or has ended.
#[derive(Debug)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// The request id of its TrainBatch; empty if it has none.
    pub request_id: String,
    should_stop: Signal,
    over: Signal,
    /// Counts the steps of all runs.
    counted: Counter,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    start: Option<(RunStart, SystemTime)>,
    end: Option<(RunEnd, SystemTime)>,
    metrics: Curve<StepMetrics>,
    held_out: Curve<HeldOutMetrics>,
    best: Option<HeldOutMetrics>,
}

/// An event that happens once.
#[derive(Debug, Default)]
struct Signal {
    is_set: AtomicBool,
    changed: Notify,
}

/// The state of a run that has begun.
#[derive(Clone, Copy, Debug)]
pub struct RunProgress {
    /// Its beginning, and when that was.
    pub start: (RunStart, SystemTime),
    /// Its end, and when that was; `None` while it is in progress.
    pub end: Option<(RunEnd, SystemTime)>,
    /// Its last step so far, if it has taken one.
    pub last: Option<StepMetrics>,
    /// Its last evaluation so far.
    pub last_held_out: Option<HeldOutMetrics>,
    /// Its evaluation with the smallest loss so far.
    pub best_held_out: Option<HeldOutMetrics>,
}

impl RunProgress {
    /// Number of steps that the run has taken.
    pub fn steps_done(&self) -> u64 {
        let step = match (&self.end, &self.last) {
            (Some((end, _)), _) => end.step,
            (None, Some(last)) => last.step,
            (None, None) => return 0,
        };
        step.saturating_sub(self.start.0.step)
    }
}

impl RunRecord {
    /// A run that waits for its turn; `counted` counts its steps.
    pub fn new(
        id: RunId,
        request_id: &str,
        metrics: Curve<StepMetrics>,
        held_out: Curve<HeldOutMetrics>,
        counted: Counter,
    ) -> Self {
        Self {
            id,
            request_id: request_id.to_owned(),
            should_stop: Signal::default(),
            over: Signal::default(),
            counted,
            state: Mutex::new(State {
                start: None,
                end: None,
                metrics,
                held_out,
                best: None,
            }),
        }
    }

    /// Asks the run to stop.
    pub fn stop(&self) {
        self.should_stop.set();
    }

    /// Resolves when the run is asked to stop.
    pub async fn stopped(&self) {
        self.should_stop.wait().await;
    }

    /// Resolves when the run has ended and the model's next writer may have its turn, or when it has left the queue.
    pub async fn over(&self) {
        self.over.wait().await;
    }

    /// Records that the run has ended or left the queue.
    pub(super) fn set_over(&self) {
        self.over.set();
    }

    /// Records the beginning.
    pub(super) fn start(&self, start: RunStart, now: SystemTime) {
        self.lock().start = Some((start, now));
    }

    /// Records steps. Training waits for this call.
    pub(super) fn steps(&self, steps: &[StepMetrics]) {
        self.counted.inc_by(steps.len() as u64);
        self.lock().metrics.add(steps);
    }

    /// Records an evaluation.
    pub(super) fn held_out(&self, metrics: HeldOutMetrics) {
        let mut state = self.lock();
        state.held_out.add(&[metrics]);
        if metrics.is_best {
            state.best = Some(metrics);
        }
    }

    /// Records the end.
    pub(super) fn end(&self, end: RunEnd, now: SystemTime) {
        self.lock().end = Some((end, now));
    }

    /// Takes the memory to remember the run after its end; returns whether there is room.
    pub(super) fn hold(&self) -> bool {
        let bytes = size_of::<Self>() + self.request_id.len();
        self.lock().metrics.hold(bytes)
    }

    /// Its state; `None` before its beginning.
    pub fn progress(&self) -> Option<RunProgress> {
        let state = self.lock();
        Some(RunProgress {
            start: state.start?,
            end: state.end,
            last: state.metrics.last().copied(),
            last_held_out: state.held_out.last().copied(),
            best_held_out: state.best,
        })
    }

    /// Whether it has begun and not ended.
    pub fn is_in_progress(&self) -> bool {
        let state = self.lock();
        state.start.is_some() && state.end.is_none()
    }

    /// Its metrics, and the n of every n-th step that they are of.
    pub fn metrics(&self) -> (Vec<StepMetrics>, u64) {
        self.lock().metrics.points()
    }

    /// Its held-out figures, and the n of every n-th evaluation that they are of.
    pub fn evaluations(&self) -> (Vec<HeldOutMetrics>, u64) {
        self.lock().held_out.points()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signal {
    fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    async fn wait(&self) {
        let mut changed = std::pin::pin!(self.changed.notified());
        // Registered before the check, so that a change in between is not missed.
        changed.as_mut().enable();
        if !self.is_set.load(Ordering::Acquire) {
            changed.await;
        }
    }
}
