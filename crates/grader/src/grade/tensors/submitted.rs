//! What is graded, and what helps to name its mistakes.

use backpropd_engine::nn::BatchRef;

use crate::grade::Quantity;

/// A gradient that a student's code computed.
#[derive(Clone, Debug, PartialEq)]
pub struct SubmittedTensor {
    /// With respect to what.
    pub quantity: Quantity,
    /// Its axes; [`Quantity`] says which it should have.
    pub shape: Vec<usize>,
    /// Row after row.
    pub values: Vec<f64>,
}

/// What helps to name mistakes, where the caller knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// The batch whose gradients were computed before.
    pub earlier: Option<BatchRef<'a, f64>>,
    /// Of the step that the code takes.
    pub learning_rate: Option<f64>,
    /// N, how many samples the batch was taken from.
    pub dataset_size: Option<usize>,
}
