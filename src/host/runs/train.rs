//! TrainBatch: starts a run and returns its events.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::conduct::{Conditions, conduct};
use super::step_feed::{Event, Feed};
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::limits::stream_slots::StreamSlot;
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::parts::run::{Bounds, RunParts};
use crate::host::refused::Refused;
use crate::training::{Model, ModelName, Plan};

/// Batches with more numbers than this are read in blocks.
pub const MANY_ENTRIES: u64 = 1 << 18;

/// The events of one run. Dropping it early stops a run that must end with its caller.
pub struct RunEvents {
    feed: Arc<Feed>,
    _guard: Option<DropGuard>,
    _slot: Arc<StreamSlot>,
}

impl RunEvents {
    /// Waits for the next event. [`Event::Ended`] is the last.
    ///
    /// # Errors
    /// The reader is too far behind.
    pub async fn next(&self) -> Result<Event, Refused> {
        Ok(self.feed.next().await?)
    }
}

impl Host {
    /// Trains a model, and returns the events of the run once it has begun. The run continues whether they are read or
    /// not.
    ///
    /// # Errors
    /// No such model; a plan that does not fit it; a limit; a turn that does not come in time; the deadline.
    pub async fn train(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        name: &ModelName,
        parts: RunParts,
    ) -> Result<RunEvents, Refused> {
        let entry = self.open(caller, name).await?;
        // Shared by the reader and the run, whichever lives longer.
        let slot = Arc::new(self.streams.take(caller.party())?);
        let caller_gone = CancellationToken::new();
        let guard = parts
            .stop_on_disconnect
            .then(|| caller_gone.clone().drop_guard());
        let conditions = Conditions {
            caller: Arc::clone(caller),
            caller_gone,
            expected_step: parts.expected_step,
            is_relaxed: parts.is_relaxed,
            _slot: Arc::clone(&slot),
        };
        let most = self.config.max_buffered_metrics;
        let memory = self.reserve(caller, Feed::bytes(parts.most_reports(), most))?;
        let feed = Feed::new(parts.metrics_every, most, memory);
        let events = RunEvents {
            feed: Arc::clone(&feed),
            _guard: guard,
            _slot: slot,
        };
        let (begun, began) = oneshot::channel();
        let host = Arc::clone(self);
        with_model!(entry.model.clone(), model => {
            self.tasks.spawn(async move {
                match host.plan(&conditions.caller, &model, parts).await {
                    Ok(plan) => conduct(host, entry, model, plan, conditions, feed, begun).await,
                    Err(refused) => {
                        // The caller may have left.
                        let _ = begun.send(Err(refused));
                    }
                }
            });
        });
        // A run that ends without an answer panicked before it began.
        began.await.unwrap_or(Err(Refused::Bug))?;
        Ok(events)
    }

    /// Builds the plan; a large batch is copied and hashed on a compute thread.
    async fn plan<T: ModelScalar>(
        &self,
        caller: &Caller,
        model: &Arc<Model<T>>,
        parts: RunParts,
    ) -> Result<Plan<T>, Refused> {
        let planned = Arc::clone(model);
        // A stored outcome is returned even if limits were lowered since. `conduct` checks requests without one.
        let is_known = model.knows(parts.request_id());
        let bounds = if is_known {
            Bounds::NONE
        } else {
            Bounds::of(&self.config)
        };
        let entries = parts.entries();
        let plan = if entries > MANY_ENTRIES {
            let read =
                |turns| async move { parts.plan_in_blocks(planned.spec(), bounds, &turns).await };
            self.compute_in_blocks(caller, entries, read).await?.0?
        } else {
            let read = move |_| parts.plan(planned.spec(), bounds);
            self.compute_by(caller, entries, read).await?.0?
        };
        if !is_known {
            // Refuse before waiting for the turn.
            self.check_bounds(model, &plan)?;
        }
        Ok(plan)
    }
}
