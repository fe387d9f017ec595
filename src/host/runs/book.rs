//! What the runs of all models share: their ids, their limits, their memory, and the past runs of models that have been
//! evicted.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::curve::{Curve, HistoryMemory};
use super::model_runs::{ModelRuns, RunTicket};
use super::record::{RunId, RunRecord};
use crate::config::Config;
use crate::host::metrics::Metrics;
use crate::training::{ModelName, SessionName};

/// The runs of a model, and when the model was created: another model may have its name later.
type Remembered = (SystemTime, Arc<ModelRuns>);

/// What the runs of all models share.
#[derive(Debug)]
pub struct RunBook {
    boot: u32,
    next: AtomicU64,
    /// Limit on the past runs of a model.
    most_runs: usize,
    /// Limit on the metrics of a run.
    most_metrics: usize,
    memory: Arc<HistoryMemory>,
    metrics: Arc<Metrics>,
    /// The past runs of models that have been evicted since their creation.
    evicted: Mutex<HashMap<ModelName, Remembered>>,
}

impl RunBook {
    /// No runs; those to come are counted in `metrics`.
    pub fn new(config: &Config, metrics: &Arc<Metrics>) -> Self {
        // The standard library's hash keys are random.
        let random = RandomState::new().build_hasher().finish();
        Self {
            boot: (random >> 32) as u32,
            next: AtomicU64::new(1),
            most_runs: config.runs_per_model,
            most_metrics: config.run_metrics,
            memory: HistoryMemory::new(config.max_run_history_bytes),
            metrics: Arc::clone(metrics),
            evicted: Mutex::default(),
        }
    }

    /// Adds a run that waits for its turn.
    pub fn open(&self, runs: &Arc<ModelRuns>, request_id: &str) -> RunTicket {
        let id = RunId {
            boot: self.boot,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        };
        let metrics = Curve::new(self.most_metrics, Arc::clone(&self.memory));
        let held_out = Curve::new(self.most_metrics, Arc::clone(&self.memory));
        let record = RunRecord::new(
            id,
            request_id,
            metrics,
            held_out,
            self.metrics.steps.clone(),
        );
        runs.open(record, self.most_runs, &self.metrics)
    }

    /// Remembers the past runs of a model that is about to be evicted.
    pub fn note_evicted(&self, name: &ModelName, created: SystemTime, runs: &Arc<ModelRuns>) {
        if !runs.is_empty() {
            let remembered = (created, Arc::clone(runs));
            self.lock().insert(name.clone(), remembered);
        }
    }

    /// The past runs of a model that is loaded again.
    pub fn recall(&self, name: &ModelName, created: SystemTime) -> Option<Arc<ModelRuns>> {
        let evicted = self.lock();
        let (then, runs) = evicted.get(name)?;
        (*then == created).then(|| Arc::clone(runs))
    }

    /// Forgets the past runs of a deleted model.
    pub fn forget(&self, name: &ModelName) {
        self.lock().remove(name);
    }

    /// Forgets the past runs of the models of a session that was deleted or has expired.
    pub fn forget_session(&self, session: &SessionName) {
        self.lock().retain(|name, _| name.session != *session);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelName, Remembered>> {
        self.evicted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
