//! SetParameters: a write that waits for its turn like a run.

use std::sync::Arc;
use std::time::SystemTime;

use super::any_model::{ModelScalar, with_model};
use super::handle::ModelEntry;
use super::write_turn::WriteTurn;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::deadline::Deadline;
use crate::host::parts::parameters::{ParameterParts, flatten_in_blocks, parameter_bytes};
use crate::host::refused::{Refused, Stop};
use crate::nn::digest::update_in_blocks;
use crate::nn::{Pauses, WeightsDigest};
use crate::training::{Begin, Fingerprint, Model, ModelName, Outcome, RequestId};

/// New parameters for a model.
pub struct Replacement {
    /// The layers' parameters as sent.
    pub parameters: ParameterParts,
    /// Requires the model to be at this step when the turn comes.
    pub expected_step: Option<i64>,
    /// The request id; empty for none.
    pub request_id: String,
}

impl Host {
    /// Waits for the model's turn and replaces its parameters. Returns its step and the digest of its weights.
    ///
    /// # Errors
    /// No such model; parameters that do not fit it; an unexpected step; a limit; a failed disk write.
    pub async fn set_parameters(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        name: &ModelName,
        replacement: Replacement,
    ) -> Result<(u64, WeightsDigest), Refused> {
        let entry = self.open(caller, name).await?;
        let spec = entry.model.spec();
        // The old parameters stay in memory until the new ones are safe, and the new ones are also encoded for the
        // file.
        let bytes = parameter_bytes(&spec, &replacement.parameters);
        caller.hold(bytes.saturating_add(spec.state_bytes()))?;
        with_model!(entry.model.get(), model => {
            let replaced = replacement.apply(self, caller, &entry, model);
            caller.deadline.limit(replaced).await
        })
    }
}

impl Replacement {
    async fn apply<T: ModelScalar>(
        self,
        host: &Arc<Host>,
        caller: &Arc<Caller>,
        entry: &Arc<ModelEntry>,
        model: Arc<Model<T>>,
    ) -> Result<(u64, WeightsDigest), Refused> {
        let is_remembered = !self.request_id.is_empty();
        let (parts, expected_step) = (self.parameters, self.expected_step);
        let fitting = Arc::clone(&model);
        let read = |turns| async move {
            let parameters = flatten_in_blocks(fitting.spec(), parts, &turns).await?;
            let mut known = [0; 32];
            if is_remembered {
                known = fingerprint(&parameters, expected_step, &turns).await;
            }
            Ok::<(Vec<T>, Fingerprint), Violations>((parameters, known))
        };
        let flops = model.spec().architecture.parameter_count() as u64;
        let (parameters, fingerprint) = host.compute_in_blocks(caller, flops, read).await?.0?;
        let request = is_remembered.then_some(RequestId {
            id: self.request_id,
            fingerprint,
        });
        let turn = tokio::select! {
            biased;
            () = entry.deleted.cancelled() => return Err(entry.gone()),
            () = host.shutdown.cancelled() => return Err(Refused::Stopped(Stop::Shutdown)),
            turn = entry.turns.change(&entry.name, &host.config) => turn?.0,
        };
        let model = entry.model.in_turn(model);
        let begun = host.begin(entry, &model, request.as_ref(), self.expected_step);
        match begun.await? {
            Begin::Replay(Outcome::ParametersSet { step, digest }) => Ok((step, digest)),
            Begin::Fresh => {
                host.check_limits(entry)?;
                let (home, caller, entry) =
                    (Arc::clone(host), Arc::clone(caller), Arc::clone(entry));
                let replaced = replace(home, caller, entry, model, parameters, request, turn);
                host.finish(replaced).await
            }
            // Unreachable: the fingerprint keeps requests of different kinds apart.
            Begin::Resume { .. } | Begin::Replay(_) => Err(Refused::Bug),
        }
    }
}

/// Replaces the parameters durably, or rolls back.
async fn replace<T: ModelScalar>(
    host: Arc<Host>,
    caller: Arc<Caller>,
    entry: Arc<ModelEntry>,
    model: Arc<Model<T>>,
    parameters: Vec<T>,
    request: Option<RequestId>,
    turn: WriteTurn,
) -> Result<(u64, WeightsDigest), Refused> {
    let before = model.revision();
    let flops = parameters.len() as u64;
    let (changed, model_entry) = (Arc::clone(&model), Arc::clone(&entry));
    let work = |turns| async move {
        let committed = changed.set_parameters(parameters);
        let digest = committed.digest_in_blocks(changed.spec(), &turns).await;
        let step = committed.step;
        changed.record(request, Outcome::ParametersSet { step, digest });
        model_entry.touch(SystemTime::now());
        (step, digest)
    };
    let (done, _) = host
        .compute_in_blocks_until(&caller, Deadline::NONE, flops, work)
        .await?;
    let turn = Arc::new(turn);
    let stored = host.commit(&entry, &turn, &model, before, None).await;
    stored?;
    entry.tell_watchers();
    Ok(done)
}

async fn fingerprint<T: ModelScalar>(
    parameters: &[T],
    expected_step: Option<i64>,
    pauses: &impl Pauses,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"SetParameters 1");
    hasher.update(&[u8::from(expected_step.is_some())]);
    hasher.update(&expected_step.unwrap_or(0).to_le_bytes());
    update_in_blocks(&mut hasher, parameters, pauses).await;
    hasher.finalize().into()
}
