//! The runs of one model: those that wait for their turn, the one in progress, and the latest that have ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::event::{RunEnd, RunStart};
use super::record::RunRecord;
use crate::host::metrics::{Counted, Metrics, RunState};

/// The runs of one model.
#[derive(Debug, Default)]
pub struct ModelRuns(Mutex<Runs>);

#[derive(Debug, Default)]
struct Runs {
    /// Waiting or in progress, in the order of their requests.
    open: Vec<Arc<RunRecord>>,
    /// Oldest first.
    ended: VecDeque<Arc<RunRecord>>,
}

/// The runs that StopTraining names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopTarget {
    /// The run in progress; those that wait, too, if set.
    InProgress {
        /// Whether to stop those that wait.
        queued: bool,
    },
    /// The runs with this request id and this run id, as far as given.
    Named {
        /// The request id; empty for any.
        request_id: String,
        /// The run's id; empty for any.
        run: String,
    },
}

/// The place of a run among its model's runs, until it is over.
#[derive(Debug)]
pub struct RunTicket {
    runs: Arc<ModelRuns>,
    record: Arc<RunRecord>,
    /// Limit on the runs that are remembered.
    most: usize,
    metrics: Arc<Metrics>,
    /// Counts the run where it is.
    counted: Mutex<Counted>,
}

impl ModelRuns {
    /// Adds a run that waits for its turn; remembers at most `most` runs after its end.
    pub(super) fn open(
        self: &Arc<Self>,
        record: RunRecord,
        most: usize,
        metrics: &Arc<Metrics>,
    ) -> RunTicket {
        let record = Arc::new(record);
        self.lock().open.push(Arc::clone(&record));
        RunTicket {
            runs: Arc::clone(self),
            record,
            most,
            metrics: Arc::clone(metrics),
            counted: Mutex::new(Counted::new(metrics.runs(RunState::Waiting))),
        }
    }

    /// The run in progress.
    pub fn in_progress(&self) -> Option<Arc<RunRecord>> {
        let runs = self.lock();
        let mut open = runs.open.iter();
        open.find(|run| run.is_in_progress()).cloned()
    }

    /// Asks runs to stop. Returns the one in progress and those that wait.
    pub fn stop(&self, target: &StopTarget) -> (Option<Arc<RunRecord>>, Vec<Arc<RunRecord>>) {
        let runs = self.lock();
        let (mut in_progress, mut waiting) = (None, Vec::new());
        for run in &runs.open {
            let is_in_progress = run.is_in_progress();
            let is_meant = match target {
                StopTarget::InProgress { queued } => is_in_progress || *queued,
                StopTarget::Named {
                    request_id,
                    run: id,
                } => {
                    (request_id.is_empty() || *request_id == run.request_id)
                        && (id.is_empty() || *id == run.id.to_string())
                }
            };
            if !is_meant {
                continue;
            }
            run.stop();
            if is_in_progress {
                in_progress = Some(Arc::clone(run));
            } else {
                waiting.push(Arc::clone(run));
            }
        }
        (in_progress, waiting)
    }

    /// The run in progress, then those that have ended, newest first; and the number of those that wait.
    pub fn list(&self) -> (Vec<Arc<RunRecord>>, usize) {
        let runs = self.lock();
        let in_progress = runs.open.iter().filter(|run| run.is_in_progress());
        let mut listed: Vec<_> = in_progress.cloned().collect();
        let queued = runs.open.len() - listed.len();
        listed.extend(runs.ended.iter().rev().cloned());
        (listed, queued)
    }

    /// Whether there is no run to remember.
    pub fn is_empty(&self) -> bool {
        self.lock().ended.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunTicket {
    /// The run's record.
    pub fn record(&self) -> &Arc<RunRecord> {
        &self.record
    }

    /// Records that the run begins.
    pub fn start(&self, start: RunStart, now: SystemTime) {
        let running = Counted::new(self.metrics.runs(RunState::Running));
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = running;
        self.record.start(start, now);
    }

    /// Records that the run has ended.
    pub fn end(&self, end: RunEnd, now: SystemTime) {
        self.record.end(end, now);
        let mut runs = self.runs.lock();
        runs.remove(&self.record);
        // The oldest runs of the model make room for this one.
        while runs.ended.len() >= self.most.max(1) || !self.record.hold() {
            if runs.ended.pop_front().is_none() {
                return;
            }
        }
        if self.most > 0 {
            runs.ended.push_back(Arc::clone(&self.record));
        }
    }
}

impl Runs {
    fn remove(&mut self, record: &Arc<RunRecord>) {
        self.open.retain(|open| !Arc::ptr_eq(open, record));
    }
}

impl Drop for RunTicket {
    fn drop(&mut self) {
        self.runs.lock().remove(&self.record);
        self.record.set_over();
    }
}
