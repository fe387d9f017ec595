//! UpdateModel: changes how a model is trained, as a write that waits for its turn like a run.

use std::sync::Arc;
use std::time::SystemTime;

use super::any_model::{ModelScalar, with_model};
use super::handle::ModelEntry;
use super::lifecycle::ModelState;
use super::write_turn::WriteTurn;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::{Refused, Stop};
use crate::training::{Begin, Model, ModelName, Outcome, RequestId, Spec, SpecUpdate};

impl Host {
    /// Waits for the model's turn and changes its spec. The weights, the optimizer's state and the step stay.
    ///
    /// # Errors
    /// No such model; changes that do not fit it; an unexpected step; a limit; a failed disk write.
    pub async fn update_model(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        name: &ModelName,
        update: SpecUpdate,
        expected_step: Option<i64>,
        request: Option<RequestId>,
    ) -> Result<ModelState, Refused> {
        let entry = self.open(caller, name).await?;
        let spec = entry.model.spec();
        let is_known = request.as_ref().is_some_and(
            |request| with_model!(entry.model.get(), model => model.knows(&request.id)),
        );
        if !is_known {
            // Refuse before waiting for the turn.
            update_of(&update, &spec)?;
        }
        // Its encoding for the file.
        caller.hold(spec.state_bytes())?;
        let updated = async {
            let turn = tokio::select! {
                biased;
                () = entry.deleted.cancelled() => return Err(entry.gone()),
                () = self.shutdown.cancelled() => return Err(Refused::Stopped(Stop::Shutdown)),
                turn = entry.turns.change(&entry.name, &self.config) => Arc::new(turn?.0),
            };
            with_model!(entry.model.get(), model => {
                self.update_in_turn(&entry, model, turn, &update, expected_step, request).await
            })
        };
        caller.deadline.limit(updated).await?;
        self.describe_one(caller, entry).await
    }

    async fn update_in_turn<T: ModelScalar>(
        self: &Arc<Self>,
        entry: &Arc<ModelEntry>,
        model: Arc<Model<T>>,
        turn: Arc<WriteTurn>,
        update: &SpecUpdate,
        expected_step: Option<i64>,
        request: Option<RequestId>,
    ) -> Result<(), Refused> {
        let begun = self.begin(entry, &model, request.as_ref(), expected_step);
        match begun.await? {
            Begin::Replay(Outcome::SpecUpdated { .. }) => Ok(()),
            Begin::Fresh => {
                self.check_limits(entry)?;
                let spec = update_of(update, model.spec())?;
                let (host, entry) = (Arc::clone(self), Arc::clone(entry));
                let replaced = replace(host, entry, model, turn, spec, request);
                self.finish(replaced).await
            }
            // Unreachable: the fingerprint keeps requests of different kinds apart.
            Begin::Resume { .. } | Begin::Replay(_) => Err(Refused::Bug),
        }
    }
}

/// The updated spec; violations are at `spec`.
fn update_of(update: &SpecUpdate, spec: &Spec) -> Result<Spec, Refused> {
    let mut violations = crate::fault::Violations::new();
    let spec = violations.take_at("spec", update.apply(spec));
    Ok(violations.into_result(spec)?)
}

/// Replaces the model by one with another spec and the same state, durably; if the disk refuses, the model stays.
async fn replace<T: ModelScalar>(
    host: Arc<Host>,
    entry: Arc<ModelEntry>,
    model: Arc<Model<T>>,
    turn: Arc<WriteTurn>,
    spec: Spec,
    request: Option<RequestId>,
) -> Result<(), Refused> {
    let before = model.revision();
    let remembered = host.config.request_ids_per_model;
    let updated = Arc::new(Model::restored(spec, before.clone(), remembered));
    let step = before.committed.step;
    updated.record(request, Outcome::SpecUpdated { step });
    entry.touch(SystemTime::now());
    host.commit(&entry, &turn, &updated, before, None).await?;
    // Readers that hold the model before it see a state that was current when they began; writers ask anew in their turn.
    entry.model.replace(T::any(updated));
    entry.tell_watchers();
    Ok(())
}
