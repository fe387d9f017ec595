//! Whose turn it is to change a model: first come, first served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::host::refused::Refused;
use crate::training::ModelName;

/// The turns of one model.
#[derive(Debug)]
pub struct WriteTurns {
    turn: Arc<Semaphore>,
    /// Number of writers, active and waiting.
    writers: Arc<AtomicUsize>,
}

/// The turn to change a model; dropping it admits the next writer.
#[derive(Debug)]
pub struct WriteTurn {
    _permit: OwnedSemaphorePermit,
    _place: Option<Place>,
}

/// A position in a model's queue of writers.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for WriteTurns {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            writers: Arc::default(),
        }
    }
}

impl WriteTurns {
    /// Number of writers, active and waiting.
    pub fn writers(&self) -> usize {
        self.writers.load(Ordering::Relaxed)
    }

    /// Waits for the turn to change `model`. Returns how many writers were ahead.
    ///
    /// # Errors
    /// More writers are waiting than `config` allows, or the turn does not come within its time limit.
    pub async fn change(
        &self,
        model: &ModelName,
        config: &Config,
    ) -> Result<(WriteTurn, usize), Refused> {
        let before = self.writers.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.writers));
        let max_waiting = config.max_waiting_runs_per_model;
        if before > max_waiting {
            let what = format!("too many runs are waiting for {model}");
            let setting = "max_waiting_runs_per_model";
            return Err(Refused::queue_full(setting, max_waiting, &what));
        }
        let patience = Duration::from_secs(config.max_wait_seconds);
        let turn = tokio::time::timeout(patience, self.wait(Some(place))).await;
        let turn = turn.unwrap_or_else(|_| Err(Refused::waited_too_long(model, patience)))?;
        Ok((turn, before))
    }

    /// Waits for the turn to persist the model; does not occupy a position in the queue of writers.
    ///
    /// # Errors
    /// None: the semaphore is never closed.
    pub async fn persist(&self) -> Result<WriteTurn, Refused> {
        self.wait(None).await
    }

    /// The turn to persist the model, if there are no writers.
    pub fn persist_if_free(&self) -> Option<WriteTurn> {
        let permit = Arc::clone(&self.turn).try_acquire_owned().ok()?;
        Some(WriteTurn {
            _permit: permit,
            _place: None,
        })
    }

    /// Resolves when all present writers, active and waiting, are done.
    pub async fn idle(&self) {
        // First come, first served: the permit comes after all of theirs. The semaphore is never closed.
        let _ = self.turn.acquire().await;
    }

    async fn wait(&self, place: Option<Place>) -> Result<WriteTurn, Refused> {
        let permit = Arc::clone(&self.turn).acquire_owned().await;
        Ok(WriteTurn {
            _permit: permit.map_err(|_| Refused::Bug)?,
            _place: place,
        })
    }
}
