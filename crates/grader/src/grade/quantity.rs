//! The quantities that a gradient is taken with respect to.

use std::fmt;
use std::str::FromStr;

use backpropd_engine::nn::{self, Architecture};

/// A quantity that the loss is differentiated with respect to. Layers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quantity {
    /// Wⁱ, nᵢ × nᵢ₋₁.
    Weights(usize),
    /// bⁱ, nᵢ.
    Bias(usize),
    /// zⁱ, m × nᵢ.
    PreActivation(usize),
    /// hⁱ, m × nᵢ.
    Activation(usize),
    /// x, m × n₀.
    Inputs,
    /// δ = ∂l/∂zᴸ, m × n_L.
    Delta,
}

impl Quantity {
    /// The engine's name of the gradient, and its layer there.
    pub fn gradient(self) -> (nn::Quantity, usize) {
        match self {
            Self::Weights(i) => (nn::Quantity::WeightsGradient, i),
            Self::Bias(i) => (nn::Quantity::BiasGradient, i),
            Self::PreActivation(i) => (nn::Quantity::PreActivationGradient, i),
            Self::Activation(i) => (nn::Quantity::ActivationGradient, i),
            Self::Inputs => (nn::Quantity::InputsGradient, 0),
            Self::Delta => (nn::Quantity::Delta, 0),
        }
    }

    /// The quantity whose gradient the engine names so; `None` if it is not a gradient.
    pub fn of_gradient(gradient: nn::Quantity, layer: usize) -> Option<Self> {
        match gradient {
            nn::Quantity::WeightsGradient => Some(Self::Weights(layer)),
            nn::Quantity::BiasGradient => Some(Self::Bias(layer)),
            nn::Quantity::PreActivationGradient => Some(Self::PreActivation(layer)),
            nn::Quantity::ActivationGradient => Some(Self::Activation(layer)),
            nn::Quantity::InputsGradient => Some(Self::Inputs),
            nn::Quantity::Delta => Some(Self::Delta),
            nn::Quantity::Inputs
            | nn::Quantity::PreActivation
            | nn::Quantity::Activation
            | nn::Quantity::Targets
            | nn::Quantity::SampleLoss
            | nn::Quantity::Weights
            | nn::Quantity::Bias => None,
        }
    }

    /// The layer number in its name.
    pub fn layer(self) -> Option<usize> {
        let (gradient, layer) = self.gradient();
        gradient.is_of_layers().then_some(layer)
    }

    /// Whether it is a parameter, so that its gradient is summed over the samples and accumulates between batches.
    pub fn is_parameter(self) -> bool {
        match self {
            Self::Weights(_) | Self::Bias(_) => true,
            Self::PreActivation(_) | Self::Activation(_) | Self::Inputs | Self::Delta => false,
        }
    }

    /// Whether a network of this shape has a gradient for it.
    pub(super) fn is_of(self, architecture: &Architecture) -> bool {
        let (gradient, layer) = self.gradient();
        gradient.shape(architecture, 1, layer).is_some()
    }

    /// The most tensors of a network of `depth` layers: four per layer, and those of the input and the output.
    pub fn most(depth: usize) -> usize {
        depth.saturating_mul(4).saturating_add(2)
    }

    /// All quantities for which a network of this shape has a gradient.
    pub(super) fn all(architecture: &Architecture) -> Vec<Self> {
        let of_layer = |i| {
            [
                Self::Weights(i),
                Self::PreActivation(i),
                Self::Activation(i),
                Self::Bias(i),
            ]
        };
        let all = (1..=architecture.depth()).flat_map(of_layer);
        let all = [Self::Inputs].into_iter().chain(all);
        all.filter(|quantity| quantity.is_of(architecture))
            .collect()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.gradient().0.symbol();
        match self.layer() {
            Some(i) => f.pad(&format!("{name}{i}")),
            None => f.pad(name),
        }
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let unknown = || {
            format!("{word:?} names no gradient; dW2, db2, dz1, dh1, dx and delta are such names")
        };
        let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &word[name.len()..];
        let mut all = nn::Quantity::ALL.into_iter();
        let gradient = all.find(|quantity| quantity.symbol() == name);
        let gradient = gradient.ok_or_else(unknown)?;
        // `parse` alone would accept "02", and two names would mean one quantity.
        if gradient.is_of_layers() == digits.is_empty() || digits.starts_with('0') {
            return Err(unknown());
        }
        let layer = if digits.is_empty() {
            0
        } else {
            digits.parse().map_err(|_| unknown())?
        };
        Self::of_gradient(gradient, layer).ok_or_else(unknown)
    }
}

impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
