//! A model's parameters in a request.

use super::tensor::TensorParts;
use crate::fault::Violations;
use crate::host::models::any_model::ModelScalar;
use crate::nn::Pauses;
use crate::training::{LayerParameters, Spec};

/// The layers' weights and biases, not yet converted to the model's scalar type.
pub type ParameterParts = Vec<(TensorParts, Option<TensorParts>)>;

/// Number of entries.
pub fn entries(parts: &ParameterParts) -> usize {
    let entries = parts
        .iter()
        .map(|(weights, bias)| weights.entries() + bias.as_ref().map_or(0, TensorParts::entries));
    entries.sum()
}

/// The memory to build a model from these parts, in bytes: the matrices and the model's own numbers.
pub fn parameter_bytes(spec: &Spec, parts: &ParameterParts) -> usize {
    entries(parts)
        .saturating_mul(spec.dtype.size())
        .saturating_add(spec.state_bytes())
}

/// Converts to flat parameters of the model's scalar type.
///
/// # Errors
/// Violations for every mismatch with the spec.
pub fn flatten<T: ModelScalar>(spec: &Spec, parts: ParameterParts) -> Result<Vec<T>, Violations> {
    let layers = parts.into_iter().map(|(weights, bias)| LayerParameters {
        weights: weights.into_matrix(),
        bias: bias.map(TensorParts::into_matrix),
    });
    spec.flatten(layers.collect())
}

/// [`flatten`] with pauses.
///
/// # Errors
/// Violations for every mismatch with the spec.
pub async fn flatten_in_blocks<T: ModelScalar>(
    spec: &Spec,
    parts: ParameterParts,
    pauses: &impl Pauses,
) -> Result<Vec<T>, Violations> {
    let mut layers = Vec::with_capacity(parts.len());
    for (weights, bias) in parts {
        let weights = weights.into_matrix_in_blocks(pauses).await;
        let bias = bias.map(TensorParts::into_matrix);
        layers.push(LayerParameters { weights, bias });
    }
    pauses.pause().await;
    spec.flatten(layers)
}
