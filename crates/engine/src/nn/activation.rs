//! The activations, without a bound on [`Scalar`](super::Scalar), whose supertrait names them; `apply` computes.

mod apply;

/// σ.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Activation {
    /// z.
    Linear,
    /// max(z, 0).
    Relu,
    /// z where z > 0, else `slope`·z.
    LeakyRelu {
        /// The slope left of 0, from 0 to 1.
        slope: f64,
    },
    /// 1 / (1 + exp(−z)).
    Sigmoid,
    /// tanh z.
    Tanh,
    /// z Φ(z), with the exact normal distribution function.
    Gelu,
    /// z / (1 + exp(−z)).
    Silu,
}

/// σ′(0) of ReLU and leaky ReLU, which have no derivative there: either end of the subdifferential is correct.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ReluAtZero {
    /// σ′(0) = 1, the mask z ≥ 0.
    #[default]
    One,
    /// σ′(0) = 0 (the slope, for leaky ReLU), the mask z > 0.
    Zero,
}

impl Activation {
    /// Whether σ has a kink at 0, where central differences are meaningless.
    pub fn has_kink(self) -> bool {
        matches!(self, Self::Relu | Self::LeakyRelu { .. })
    }
}
