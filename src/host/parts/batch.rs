//! A batch in a request.

use super::tensor::TensorParts;
use crate::fault::Violations;
use crate::host::models::any_model::ModelScalar;
use crate::nn::{Batch, Pauses};
use crate::training::Spec;

/// Inputs and targets, not yet converted to the model's scalar type or checked against its shape.
pub struct BatchParts {
    /// The inputs x.
    pub inputs: TensorParts,
    /// The targets y as numbers.
    pub targets: Option<TensorParts>,
    /// The targets y as class labels.
    pub labels: Vec<i32>,
}

impl BatchParts {
    /// Number of entries, roughly the floating-point operations to convert them.
    pub fn entries(&self) -> u64 {
        let targets = self.targets.as_ref().map_or(0, TensorParts::entries);
        (self.inputs.entries() + targets + self.labels.len()) as u64
    }

    /// Adds what was sent to a fingerprint.
    pub fn update(&self, hasher: &mut blake3::Hasher) {
        self.inputs.update(hasher);
        if let Some(targets) = &self.targets {
            targets.update(hasher);
        }
        hasher.update(bytemuck::cast_slice(&self.labels));
    }

    /// [`Self::typed`] with pauses.
    ///
    /// # Errors
    /// Violations for every mismatch.
    pub async fn typed_in_blocks<T: ModelScalar>(
        self,
        spec: &Spec,
        max_rows: usize,
        pauses: &impl Pauses,
    ) -> Result<Batch<T>, Violations> {
        let inputs = self.inputs.into_matrix_in_blocks(pauses).await;
        let mut targets = None;
        if let Some(given) = self.targets {
            targets = Some(given.into_matrix_in_blocks(pauses).await);
        }
        pauses.pause().await;
        Batch::new(
            &spec.architecture,
            spec.objective,
            inputs,
            targets,
            &self.labels,
            max_rows,
        )
    }

    /// Converts to a batch for the spec.
    ///
    /// # Errors
    /// Violations for every mismatch.
    pub fn typed<T: ModelScalar>(
        self,
        spec: &Spec,
        max_rows: usize,
    ) -> Result<Batch<T>, Violations> {
        Batch::new(
            &spec.architecture,
            spec.objective,
            self.inputs.into_matrix(),
            self.targets.map(TensorParts::into_matrix),
            &self.labels,
            max_rows,
        )
    }
}
