//! Decides when a run is committed to disk: periodically while it computes, and at its end before that is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::host::Host;
use crate::host::durability::ReplayPlan;
use crate::host::models::handle::ModelEntry;
use crate::host::models::lifecycle::STORE_WITHIN;
use crate::host::models::write_turn::WriteTurn;
use crate::host::refused::NotStored;
use crate::host::runs::event::{EndReason, RunEnd};
use crate::nn::Scalar;
use crate::training::{Model, Plan, Revision};

/// The commits of a run, which holds the turn to change the model.
pub struct Commits<'a, T> {
    host: &'a Arc<Host>,
    entry: &'a Arc<ModelEntry>,
    turn: &'a Arc<WriteTurn>,
    model: Arc<Model<T>>,
    /// The state to roll back to: the last commit, or the model when the run began.
    before: Revision<T>,
    /// When the last commit was attempted.
    last: Instant,
    plan: Plan<T>,
    /// The model's step when the run began.
    began: u64,
    /// Steps that earlier attempts at the request had taken before.
    resumed_steps: u64,
}

impl<'a, T: Scalar> Commits<'a, T> {
    /// For a run of `model` about to begin, after `resumed_steps` of earlier attempts.
    pub fn new(
        host: &'a Arc<Host>,
        entry: &'a Arc<ModelEntry>,
        turn: &'a Arc<WriteTurn>,
        model: &Arc<Model<T>>,
        plan: &Plan<T>,
        resumed_steps: u64,
    ) -> Self {
        let before = model.revision();
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

    /// While `run` computes: commits it every `commit_seconds`, and earlier if an older change is waiting to be
    /// persisted.
    pub async fn make_during(&mut self, run: impl Future<Output = RunEnd>) -> RunEnd {
        tokio::pin!(run);
        loop {
            tokio::select! {
                biased;
                end = &mut run => return end,
                () = self.due() => {}
            }
            // Let a commit in progress finish, because a rollback needs its outcome.
            let (end, put) = {
                let put = self.put();
                tokio::pin!(put);
                tokio::select! {
                    biased;
                    end = &mut run => (Some(end), put.await),
                    put = &mut put => (None, put),
                }
            };
            // A failed commit is retried later; the final one reports a lasting failure.
            if let Ok(Some(revision)) = put {
                self.before = revision;
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

    /// After the run: makes its steps durable or rolls them back; if the request allows it, acknowledges from memory
    /// and persists later.
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
            // Never log a run that panicked: startup would replay the panic.
            let is_sound = !matches!(end.reason, EndReason::Failed) && !end.is_returned;
            let replay = is_sound.then(|| ReplayPlan {
                plan: self.plan,
                first: self.resumed_steps + (step - self.began),
            });
            self.host
                .commit(self.entry, self.turn, &self.model, self.before, replay)
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

    async fn put(&self) -> Result<Option<Revision<T>>, NotStored> {
        let turn = Arc::clone(self.turn);
        self.host
            .persistence
            .put_model(self.entry, &self.model, turn)
            .await
    }
}
