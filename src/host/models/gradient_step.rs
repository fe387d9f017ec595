//! ApplyGradients: one step with gradients from elsewhere, a write that waits for its turn like a run.

use std::sync::Arc;
use std::time::SystemTime;

use super::any_model::{ModelScalar, with_model};
use super::handle::ModelEntry;
use super::write_turn::WriteTurn;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::deadline::Deadline;
use crate::host::parts::gradient::GradientParts;
use crate::host::refused::{Refused, Stop};
use crate::nn::Pauses;
use crate::nn::digest::update_in_blocks;
use crate::training::{
    Begin, Fingerprint, GradientStep, LARGEST_STEP, Model, ModelName, Outcome, RequestId,
};

/// Passes over a parameter in a step: the sum of the squares, the update and the digest.
const PASSES: u64 = 8;

/// A step in a request.
pub struct GradientUpdate {
    /// The gradients as sent.
    pub gradients: GradientParts,
    /// Replaces the model's learning rate.
    pub learning_rate: Option<f64>,
    /// Requires the model to be at this step when the turn comes.
    pub expected_step: Option<i64>,
    /// The request id; empty for none.
    pub request_id: String,
    /// Whether the step may be acknowledged from memory.
    pub is_relaxed: bool,
    /// Whether to compute the digest of the new parameters.
    pub digests: bool,
}

/// A step that was taken, and the step that survives a restart; `None` if nothing is persisted.
pub type StepTaken = (GradientStep, Option<u64>);

impl Host {
    /// Waits for the model's turn and takes a step.
    ///
    /// # Errors
    /// No such model; gradients that do not fit it; an unexpected step; a limit; weights that would not be finite; a
    /// failed disk write.
    pub async fn apply_gradients(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        name: &ModelName,
        update: GradientUpdate,
    ) -> Result<StepTaken, Refused> {
        let entry = self.open(caller, name).await?;
        let spec = entry.model.spec();
        let gradient = spec.architecture.parameter_count() * spec.dtype.size();
        // The gradient, the next state, and its encoding for the file.
        let written = if update.is_relaxed {
            0
        } else {
            spec.state_bytes()
        };
        let bytes = gradient.saturating_add(spec.state_bytes());
        caller.hold(bytes.saturating_add(written))?;
        with_model!(entry.model.get(), model => {
            let applied = update.apply(self, caller, &entry, model);
            caller.deadline.limit(applied).await
        })
    }
}

/// A step whose gradient fits the model.
struct Ready<T> {
    gradient: Vec<T>,
    learning_rate: Option<f64>,
    request: Option<RequestId>,
    is_relaxed: bool,
    digests: bool,
}

impl GradientUpdate {
    async fn apply<T: ModelScalar>(
        self,
        host: &Arc<Host>,
        caller: &Arc<Caller>,
        entry: &Arc<ModelEntry>,
        model: Arc<Model<T>>,
    ) -> Result<StepTaken, Refused> {
        let is_remembered = !self.request_id.is_empty();
        let (expected_step, is_relaxed) = (self.expected_step, self.is_relaxed);
        let digests = self.digests;
        let learning_rate = self.learning_rate;
        let (fitting, gradients) = (Arc::clone(&model), self.gradients);
        let flops = gradients.entries();
        let read = |turns| async move {
            let gradient = gradients.sum_in_blocks(fitting.spec(), &turns).await?;
            let mut known = [0; 32];
            if is_remembered {
                known = fingerprint(&gradient, learning_rate, expected_step, &turns).await;
            }
            Ok::<(Vec<T>, Fingerprint), Violations>((gradient, known))
        };
        let (gradient, fingerprint) = host.compute_in_blocks(caller, flops, read).await?.0?;
        let ready = Ready {
            gradient,
            learning_rate,
            request: is_remembered.then_some(RequestId {
                id: self.request_id,
                fingerprint,
            }),
            is_relaxed,
            digests,
        };
        let turn = tokio::select! {
            biased;
            () = entry.deleted.cancelled() => return Err(entry.gone()),
            () = host.shutdown.cancelled() => return Err(Refused::Stopped(Stop::Shutdown)),
            turn = entry.turns.change(&entry.name, &host.config) => Arc::new(turn?.0),
        };
        let model = entry.model.in_turn(model);
        let begun = host.begin(entry, &model, ready.request.as_ref(), expected_step);
        match begun.await? {
            Begin::Replay(Outcome::GradientApplied(taken)) => {
                host.note_durable(entry, turn, is_relaxed).await?;
                Ok((taken, entry.durable_step()))
            }
            Begin::Replay(Outcome::Diverged(divergence)) => {
                host.note_durable(entry, turn, is_relaxed).await?;
                Err(Refused::StepDiverged(divergence))
            }
            Begin::Fresh => {
                host.check_limits(entry)?;
                let step = model.committed().step;
                if step >= LARGEST_STEP {
                    return Err(Refused::TooManySteps { step, planned: 1 });
                }
                let (home, caller, entry) =
                    (Arc::clone(host), Arc::clone(caller), Arc::clone(entry));
                let taken = ready.take_step(home, caller, entry, model, turn);
                host.finish(taken).await
            }
            // Unreachable: the fingerprint keeps requests of different kinds apart.
            Begin::Resume { .. } | Begin::Replay(_) => Err(Refused::Bug),
        }
    }
}

impl Host {
    /// The first attempt may have been acknowledged from memory; a repeat that asks for it makes it durable.
    async fn note_durable(
        &self,
        entry: &Arc<ModelEntry>,
        turn: Arc<WriteTurn>,
        is_relaxed: bool,
    ) -> Result<(), Refused> {
        if is_relaxed {
            return Ok(());
        }
        Ok(self.persistence.catch_up(entry, turn).await?)
    }
}

impl<T: ModelScalar> Ready<T> {
    /// Takes the step durably, or rolls back.
    async fn take_step(
        self,
        host: Arc<Host>,
        caller: Arc<Caller>,
        entry: Arc<ModelEntry>,
        model: Arc<Model<T>>,
        turn: Arc<WriteTurn>,
    ) -> Result<StepTaken, Refused> {
        let Self {
            gradient,
            learning_rate,
            request,
            is_relaxed,
            digests,
        } = self;
        let is_persistent = host.persistence.is_on();
        let before = (is_persistent && !is_relaxed).then(|| model.revision());
        // A divergence changes nothing that is stored, unless it is remembered.
        let is_remembered = request.is_some();
        let flops = PASSES * gradient.len() as u64;
        let (changed, model_entry) = (Arc::clone(&model), Arc::clone(&entry));
        let work = |turns| async move {
            let applied = changed.apply_gradient(&gradient, learning_rate, digests, &turns);
            let applied = applied.await;
            let outcome = match &applied {
                Ok(taken) => Outcome::GradientApplied(*taken),
                Err(divergence) => Outcome::Diverged(*divergence),
            };
            changed.record(request, outcome);
            model_entry.touch(SystemTime::now());
            applied
        };
        let (applied, _) = host
            .compute_in_blocks_until(&caller, Deadline::NONE, flops, work)
            .await?;
        if applied.is_ok() || is_remembered {
            match before {
                Some(before) => host.commit(&entry, &turn, &model, before, None).await?,
                None if is_persistent => host.store_soon(&entry),
                None => {}
            }
        }
        let taken = applied.map_err(Refused::StepDiverged)?;
        host.metrics.steps.inc();
        entry.tell_watchers();
        Ok((taken, entry.durable_step()))
    }
}

async fn fingerprint<T: ModelScalar>(
    gradient: &[T],
    learning_rate: Option<f64>,
    expected_step: Option<i64>,
    pauses: &impl Pauses,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"ApplyGradients 1");
    let optional = [
        learning_rate.map(f64::to_bits),
        expected_step.map(i64::cast_unsigned),
    ];
    for number in optional {
        hasher.update(&[u8::from(number.is_some())]);
        hasher.update(&number.unwrap_or(0).to_le_bytes());
    }
    update_in_blocks(&mut hasher, gradient, pauses).await;
    hasher.finalize().into()
}
