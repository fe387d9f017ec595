//! When a run is committed to disk: now and then while it goes on, and at its end before anybody hears of that.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::host::Host;
use crate::host::durability::Taken;
use crate::host::models::handle::{ModelEntry, WriteTurn};
use crate::host::models::lifecycle::STORE_WITHIN;
use crate::host::refused::NotStored;
use crate::host::runs::event::{EndReason, RunEnd};
use crate::nn::Scalar;
use crate::training::{Kept, Model, Plan};

/// The commits of a run to disk. The run's turn to change the model goes on meanwhile.
pub struct Commits<'a, T> {
    host: &'a Arc<Host>,
    entry: &'a Arc<ModelEntry>,
    turn: &'a Arc<WriteTurn>,
    model: Arc<Model<T>>,
    /// What is on disk, or was in memory when the run began: what a failure goes back to.
    before: Kept<T>,
    /// When the last commit was made or tried.
    last: Instant,
    plan: Plan<T>,
    /// The model's step when the run began.
    began: u64,
    /// Steps of its request that earlier tries had taken by then.
    resumed_steps: u64,
}

impl<'a, T: Scalar> Commits<'a, T> {
    /// For a run of `model` that is about to begin, after `resumed_steps` of earlier tries.
    pub fn new(
        host: &'a Arc<Host>,
        entry: &'a Arc<ModelEntry>,
        turn: &'a Arc<WriteTurn>,
        model: &Arc<Model<T>>,
        plan: &Plan<T>,
        resumed_steps: u64,
    ) -> Self {
        let before = model.kept();
        Self {
            began: before.committed.step,
            plan: plan.clone(),
            resumed_steps,
            host,
            entry,
            turn,
            model: Arc::clone(model),
            before,
            last: Instant::now(),
        }
    }

    /// Until `run` ends: commits it every `commit_seconds`, and soon where something older waits to be.
    pub async fn make_during(&mut self, run: impl Future<Output = RunEnd>) -> RunEnd {
        tokio::pin!(run);
        loop {
            tokio::select! {
                biased;
                end = &mut run => return end,
                () = self.due() => {}
            }
            // A commit that was begun is waited for: what a failure goes back to has to be known.
            let (end, put) = {
                let put = self.put();
                tokio::pin!(put);
                tokio::select! {
                    biased;
                    end = &mut run => (Some(end), put.await),
                    put = &mut put => (None, put),
                }
            };
            // A disk that refuses is asked again; the run's end tells whether it still does.
            if let Ok(Some(kept)) = put {
                self.before = kept;
            }
            self.last = Instant::now();
            if let Some(end) = end {
                return end;
            }
        }
    }

    async fn due(&self) {
        if !self.host.persistence.is_on() {
            return std::future::pending().await;
        }
        let every = Duration::from_secs(self.host.config.commit_seconds);
        loop {
            tokio::time::sleep(STORE_WITHIN).await;
            if self.last.elapsed() >= every || self.entry.is_behind() {
                return;
            }
        }
    }

    /// After the run: makes what it has done durable, or takes it back; later where that is what the caller wants.
    pub async fn make_last(self, end: RunEnd, is_relaxed: bool) -> RunEnd {
        if !self.host.persistence.is_on() {
            return end;
        }
        let step = self.before.committed.step;
        let did_nothing = Arc::ptr_eq(&self.model.committed(), &self.before.committed)
            && matches!(end.reason, EndReason::Stopped(_));
        let stored = if did_nothing {
            Ok(())
        } else if is_relaxed {
            self.host.store_soon(self.entry);
            Ok(())
        } else {
            // What panicked is not to be met again at a start.
            let is_sound = !matches!(end.reason, EndReason::Failed);
            let taken = is_sound.then(|| Taken {
                plan: self.plan,
                first: self.resumed_steps + (step - self.began),
            });
            self.host
                .commit(self.entry, self.turn, &self.model, self.before, taken)
                .await
        };
        let end = match stored {
            Ok(()) => end,
            Err(why) => RunEnd::new(EndReason::NotStored(why), 0, step, end.timing),
        };
        RunEnd {
            durable_step: self.entry.durable_step(),
            ..end
        }
    }

    async fn put(&self) -> Result<Option<Kept<T>>, NotStored> {
        let turn = Arc::clone(self.turn);
        self.host
            .persistence
            .put_model(self.entry, &self.model, turn)
            .await
    }
}
