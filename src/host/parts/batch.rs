//! A batch as a caller sends it.

use super::tensor::TensorParts;
use crate::fault::Violations;
use crate::host::models::any_model::ModelScalar;
use crate::nn::{Batch, Pauses};
use crate::training::Spec;

/// Samples and targets, not yet of the model's type nor compared with its sizes.
pub struct BatchParts {
    /// x.
    pub inputs: TensorParts,
    /// y as numbers.
    pub targets: Option<TensorParts>,
    /// y as classes.
    pub labels: Vec<i32>,
}

impl BatchParts {
    /// How many numbers to read: about what it takes in floating-point operations to make a batch of them.
    pub fn entries(&self) -> u64 {
        let targets = self.targets.as_ref().map_or(0, TensorParts::entries);
        (self.inputs.entries() + targets + self.labels.len()) as u64
    }

    /// [`Self::typed`] with pauses.
    ///
    /// # Errors
    /// Everything that does not fit.
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

    /// A batch that fits the spec.
    ///
    /// # Errors
    /// Everything that does not fit.
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
