//! ApplyGradients.

use std::sync::Arc;

use tonic::{Response, Status};

use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::gradient_step::GradientUpdate;
use crate::host::refused::Refused;
use crate::rpc::convert::gradient_sets::read_gradients;
use crate::rpc::convert::shared_fields::{model_name, request_id};
use crate::rpc::convert::training::read_is_relaxed;
use crate::rpc::pb;
use crate::training::spec::not_negative;

/// Answers ApplyGradients.
///
/// # Errors
/// Invalid fields, an unknown model, an unexpected step, a limit, a divergence, or a failed write.
pub async fn apply(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    request: pb::ApplyGradientsRequest,
) -> Result<Response<pb::ApplyGradientsResponse>, Status> {
    let mut violations = Violations::new();
    let name = model_name(&request.model, "model", &mut violations);
    let gradients = read_gradients(request.gradients, &mut violations);
    if let Some(learning_rate) = request.learning_rate {
        not_negative("learning_rate", learning_rate, &mut violations);
    }
    let is_relaxed = read_is_relaxed(request.durability, &mut violations);
    request_id(request.request_id.clone(), || [0; 32], &mut violations);
    let (name, gradients) = violations
        .into_result(name.zip(gradients))
        .map_err(Refused::from)?;
    let update = GradientUpdate {
        gradients,
        learning_rate: request.learning_rate,
        expected_step: request.expected_step,
        request_id: request.request_id,
        is_relaxed,
        digests: !request.skip_digest,
    };
    let (taken, durable_step) = host.apply_gradients(caller, &name, update).await?;
    Ok(Response::new(pb::ApplyGradientsResponse {
        step: taken.step.cast_signed(),
        gradient_norm: taken.gradient_norm,
        learning_rate: taken.learning_rate,
        weights_digest: taken
            .digest
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        durable_step: durable_step.map(u64::cast_signed),
    }))
}
