//! Losses, without a bound on [`Scalar`](super::Scalar), whose supertrait names them; `evaluate` computes.

mod evaluate;
mod logits;
mod one_hot;

pub use super::elementwise::largest;

/// The loss function that training minimizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Loss {
    /// l_k = ½‖f_k − y_k‖².
    HalfSquaredError,
    /// l_k = the mean of (f_k − y_k)² over the outputs (their sum under [`Reduction::Sum`]).
    MeanSquaredError,
    /// l_k = −Σ y_k log softmax(f_k).
    CrossEntropy,
    /// l_k = the mean of −y log σ(f) − (1 − y) log(1 − σ(f)) over the outputs (their sum under [`Reduction::Sum`]).
    BinaryCrossEntropy,
}

/// How the losses of the samples combine into one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Reduction {
    /// l = 1/m Σ l_k.
    Mean,
    /// l = Σ l_k.
    Sum,
}

/// A loss and its reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Objective {
    /// The loss of each sample.
    pub loss: Loss,
    /// How they combine.
    pub reduction: Reduction,
}

impl Loss {
    /// Whether the loss compares classes, so that accuracy is defined.
    pub fn is_classification(self) -> bool {
        match self {
            Self::HalfSquaredError | Self::MeanSquaredError => false,
            Self::CrossEntropy | Self::BinaryCrossEntropy => true,
        }
    }
}
