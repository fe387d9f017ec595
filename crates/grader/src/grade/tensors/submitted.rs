//! The submission, and facts that help to recognize its mistakes.

use backpropd_engine::nn::BatchRef;

use crate::grade::Quantity;

/// A gradient that a student's code computed.
#[derive(Clone, Debug, PartialEq)]
pub struct SubmittedTensor {
    /// The quantity that the gradient is with respect to.
    pub quantity: Quantity,
    /// Its axes; [`Quantity`] defines the right ones.
    pub shape: Vec<usize>,
    /// The entries, row by row.
    pub values: Vec<f64>,
}

/// Facts that help to recognize mistakes, as far as the client knows them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// The batch before this one, whose gradients the code may have added.
    pub earlier: Option<BatchRef<'a, f64>>,
    /// The learning rate of the code.
    pub learning_rate: Option<f64>,
    /// N, the size of the data set that the batch is from.
    pub dataset_size: Option<usize>,
}
