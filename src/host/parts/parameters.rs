//! A model's parameters as a caller sends them.

use super::tensor::TensorParts;
use crate::fault::Violations;
use crate::host::models::any_model::ModelScalar;
use crate::nn::Pauses;
use crate::training::{LayerParameters, Spec};

/// Layers' parameters, not yet of the model's type.
pub type ParameterParts = Vec<(TensorParts, Option<TensorParts>)>;

/// How many numbers there are to read.
pub fn entries(parts: &ParameterParts) -> usize {
    let entries = parts
        .iter()
        .map(|(weights, bias)| weights.entries() + bias.as_ref().map_or(0, TensorParts::entries));
    entries.sum()
}

/// The bytes that it takes to make a model of these parts: the matrices, the model's own numbers.
pub fn parameter_bytes(spec: &Spec, parts: &ParameterParts) -> usize {
    entries(parts)
        .saturating_mul(spec.dtype.size())
        .saturating_add(spec.state_bytes())
}

/// The flat parameters in the model's type.
///
/// # Errors
/// Everything that does not fit the spec.
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
/// Everything that does not fit the spec.
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
