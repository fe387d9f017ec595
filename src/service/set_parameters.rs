//! SetParameters: a write that waits its turn like a run.

use std::sync::Arc;
use std::time::SystemTime;

use tonic::Status;

use super::convert::request::request_id;
use super::entry::{ModelEntry, ModelScalar};
use super::status::{Stop, internal, stopped};
use super::{Server, pb};
use crate::nn::{Violations, WeightsDigest, digest::update_with};
use crate::training::{Begin, Fingerprint, Model, Outcome};

/// Parameters that fit the model, to be put in place.
pub struct Replacement<T> {
    /// All of them, in the architecture's layout.
    pub parameters: Vec<T>,
    /// Refuses unless the model is at this step when the turn comes.
    pub expected_step: Option<i64>,
    /// Who asks, if it is to be remembered.
    pub request_id: String,
}

impl<T: ModelScalar> Replacement<T> {
    /// Waits for the model's turn and replaces its parameters.
    ///
    /// # Errors
    /// A full queue, another step than expected, a reused id, a server that stops.
    pub async fn apply(
        self,
        server: &Server,
        entry: &Arc<ModelEntry>,
        model: Arc<Model<T>>,
    ) -> Result<pb::SetParametersResponse, Status> {
        let mut violations = Violations::new();
        let request = request_id(
            self.request_id,
            || fingerprint(&self.parameters, self.expected_step),
            &mut violations,
        );
        violations.into_result(Some(()))?;
        let turn = tokio::select! {
            biased;
            () = entry.deleted.cancelled() => return Err(stopped(Stop::Deleted, None)),
            () = server.shutdown.cancelled() => return Err(stopped(Stop::Shutdown, None)),
            turn = entry.write_turn(server.config.max_waiting_runs_per_model) => turn?.0,
        };
        let (step, digest) = match model.begin(request.as_ref(), self.expected_step)? {
            Begin::Replay(Outcome::ParametersSet { step, digest }) => (step, digest),
            Begin::Fresh => {
                let parameters = self.parameters;
                let flops = parameters.len() as u64;
                let entry = Arc::clone(entry);
                let work = move || {
                    // The turn lasts until the parameters are in place, even where the caller leaves before.
                    let _turn = turn;
                    let committed = model.set_parameters(parameters);
                    let (step, digest) = (committed.step, committed.digest(model.spec()));
                    model.record(request, Outcome::ParametersSet { step, digest });
                    entry.touch(SystemTime::now());
                    (step, digest)
                };
                server.compute.run(flops, work).await?.0
            }
            // Only runs leave these, and a fingerprint tells runs from replacements.
            Begin::Resume { .. } | Begin::Replay(_) => return Err(internal()),
        };
        Ok(reply(step, digest))
    }
}

fn reply(step: u64, digest: WeightsDigest) -> pb::SetParametersResponse {
    pb::SetParametersResponse {
        step: step.cast_signed(),
        weights_digest: digest.to_string(),
    }
}

fn fingerprint<T: ModelScalar>(parameters: &[T], expected_step: Option<i64>) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"SetParameters 1");
    hasher.update(&[u8::from(expected_step.is_some())]);
    hasher.update(&expected_step.unwrap_or(0).to_le_bytes());
    update_with(&mut hasher, parameters);
    hasher.finalize().into()
}
