//! TrainBatch: starts a run and returns its events.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::conduct::{Conditions, conduct};
use super::held_out::HeldOutPlan;
use super::step_feed::{Event, Feed};
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::datasets::Found;
use crate::host::limits::stream_slots::StreamSlot;
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::parts::dataset_rows::{DatasetRows, SamplesParts};
use crate::host::parts::run::{Bounds, HeldOutParts, Length, RunParts};
use crate::host::refused::Refused;
use crate::nn::Samples;
use crate::training::{Begin, Model, ModelName, Plan};

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
            datasets_gone: Vec::new(),
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
        with_model!(entry.model.get(), model => {
            self.tasks.spawn(async move {
                let name = &entry.name;
                match host.plan(&conditions.caller, name, &model, parts).await {
                    Ok(Planned { plan, held_out, gone }) => {
                        let conditions = Conditions {
                            datasets_gone: gone,
                            ..conditions
                        };
                        let plan = (plan, held_out);
                        conduct(host, entry, model, plan, conditions, feed, begun).await;
                    }
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
        name: &ModelName,
        model: &Arc<Model<T>>,
        mut parts: RunParts,
    ) -> Result<Planned<T>, Refused> {
        let held_out = parts.held_out.take();
        // A stored outcome is returned even if limits were lowered since. `conduct` checks requests without one.
        let is_known = model.knows(parts.request_id());
        let bounds = if is_known {
            Bounds::NONE
        } else {
            Bounds::of(&self.config)
        };
        let mut gone = Vec::new();
        let mut plan = match &parts.samples {
            Some(SamplesParts::Dataset(rows)) => {
                let rows = rows.clone();
                let (plan, deleted) = self
                    .plan_on_dataset((caller, name), model, parts, &rows, (bounds, is_known))
                    .await?;
                gone.push(deleted);
                plan
            }
            Some(SamplesParts::Sent(_)) | None => {
                self.plan_on_batch(caller, model, parts, bounds).await?
            }
        };
        if !is_known {
            // Refuse before waiting for the turn.
            self.check_bounds(model, &plan)?;
        }
        let mut held_out_plan = None;
        if let Some(held_out) = held_out {
            if let Some(request) = &mut plan.request {
                request.fingerprint = held_out.fingerprint(&request.fingerprint);
            }
            let planned = self
                .plan_held_out((caller, name), model, held_out, &plan)
                .await;
            match planned {
                Ok((planned, deleted)) => {
                    gone.extend(deleted);
                    held_out_plan = Some(planned);
                }
                // A stored outcome does not need the samples.
                Err(Refused::NoDataset(_)) if is_replayed(model, &plan)? => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok(Planned {
            plan,
            held_out: held_out_plan,
            gone,
        })
    }

    async fn plan_on_batch<T: ModelScalar>(
        &self,
        caller: &Caller,
        model: &Arc<Model<T>>,
        parts: RunParts,
        bounds: Bounds,
    ) -> Result<Plan<T>, Refused> {
        let (planned, entries) = (Arc::clone(model), parts.entries());
        let plan = if entries > MANY_ENTRIES {
            let read =
                |turns| async move { parts.plan_in_blocks(planned.spec(), bounds, &turns).await };
            self.compute_in_blocks(caller, entries, read).await?.0?
        } else {
            let read = move |_| parts.plan(planned.spec(), bounds);
            self.compute_by(caller, entries, read).await?.0?
        };
        Ok(plan)
    }

    /// Also returns what is cancelled when the dataset is deleted.
    async fn plan_on_dataset<T: ModelScalar>(
        &self,
        (caller, name): (&Caller, &ModelName),
        model: &Arc<Model<T>>,
        parts: RunParts,
        rows: &DatasetRows,
        (bounds, is_known): (Bounds, bool),
    ) -> Result<(Plan<T>, CancellationToken), Refused> {
        let session = Some(&name.session);
        let found = self.find_rows::<T>(caller, session, rows, model.spec());
        let (found, gone) = match found.await {
            Err(Refused::NoDataset(name)) if is_known => (Found::gone(&name), Some(name)),
            found => (found?, None),
        };
        let plan = parts.plan_on(rows, (found.samples, found.reference), bounds)?;
        match gone {
            Some(name) if !is_replayed(model, &plan)? => Err(Refused::NoDataset(name)),
            Some(_) | None => Ok((plan, found.deleted)),
        }
    }

    /// The evaluation of a run, and what is cancelled when its dataset is deleted.
    async fn plan_held_out<T: ModelScalar>(
        &self,
        (caller, name): (&Caller, &ModelName),
        model: &Arc<Model<T>>,
        parts: HeldOutParts,
        plan: &Plan<T>,
    ) -> Result<(HeldOutPlan<T>, Option<CancellationToken>), Refused> {
        let (samples, deleted): (Arc<dyn Samples<T>>, _) = match parts.samples {
            SamplesParts::Dataset(rows) => {
                let session = Some(&name.session);
                let found = self.find_rows::<T>(caller, session, &rows, model.spec());
                let found = found.await.map_err(at_held_out)?;
                (found.samples, Some(found.deleted))
            }
            SamplesParts::Sent(batch) => {
                let (entries, most) = (batch.entries(), self.config.max_batch_rows);
                let model = Arc::clone(model);
                let read = move |_| batch.typed::<T>(model.spec(), most);
                let batch = self.compute_by(caller, entries, read).await?.0;
                let batch = batch.map_err(|faults| at_held_out(faults.into()))?;
                (Arc::new(batch), None)
            }
        };
        let every = match parts.every {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => epochs.saturating_mul(plan.minibatches.steps_per_epoch()),
        };
        let held_out = HeldOutPlan {
            samples,
            every: every.max(1),
            patience: parts.patience,
            keeps_best: parts.keeps_best,
        };
        Ok((held_out, deleted))
    }
}

/// A run that is ready for its turn.
struct Planned<T> {
    plan: Plan<T>,
    held_out: Option<HeldOutPlan<T>>,
    /// Each is cancelled when a dataset is deleted.
    gone: Vec<CancellationToken>,
}

/// Whether the request of a plan is answered from memory.
fn is_replayed<T: ModelScalar>(model: &Model<T>, plan: &Plan<T>) -> Result<bool, Refused> {
    let begin = model.begin(plan.request.as_ref(), None)?;
    Ok(matches!(begin, Begin::Replay(_)))
}

/// Moves the fields of a refusal below `held_out`.
fn at_held_out(refused: Refused) -> Refused {
    let Refused::Invalid(faults) = refused else {
        return refused;
    };
    let mut violations = Violations::new();
    violations.extend_at("held_out", faults);
    violations.into()
}
