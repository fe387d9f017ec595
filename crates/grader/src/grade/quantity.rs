//! What a gradient is taken with respect to.

use std::fmt;
use std::str::FromStr;

use backpropd_engine::nn::Architecture;

/// The quantity that the loss is differentiated with respect to. Layers count from 1.
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
    /// The layer that its name counts.
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::Weights(i) | Self::Bias(i) | Self::PreActivation(i) | Self::Activation(i) => {
                Some(i)
            }
            Self::Inputs | Self::Delta => None,
        }
    }

    /// Whether it is learned, so that its gradient is summed over the samples and kept between batches.
    pub fn is_parameter(self) -> bool {
        match self {
            Self::Weights(_) | Self::Bias(_) => true,
            Self::PreActivation(_) | Self::Activation(_) | Self::Inputs | Self::Delta => false,
        }
    }

    /// Whether a network of this shape has a gradient for it.
    pub(super) fn is_of(self, architecture: &Architecture) -> bool {
        let layer = self.layer().map(|i| i.checked_sub(1));
        let layer = layer.map(|at| at.and_then(|at| architecture.layers().get(at)));
        match (self, layer) {
            (_, Some(None)) => false,
            (Self::Bias(_), Some(Some(layer))) => layer.has_bias(),
            (_, _) => true,
        }
    }

    /// The most tensors that a network of `depth` layers has: four a layer, and those of the input and the output.
    pub fn most(depth: usize) -> usize {
        depth.saturating_mul(4).saturating_add(2)
    }

    /// Everything that a network of this shape has a gradient for.
    pub(super) fn all(architecture: &Architecture) -> Vec<Self> {
        let mut all = vec![Self::Inputs];
        for (i, layer) in (1..).zip(architecture.layers()) {
            all.extend([
                Self::Weights(i),
                Self::PreActivation(i),
                Self::Activation(i),
            ]);
            if layer.has_bias() {
                all.push(Self::Bias(i));
            }
        }
        all
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights(i) => f.pad(&format!("dW{i}")),
            Self::Bias(i) => f.pad(&format!("db{i}")),
            Self::PreActivation(i) => f.pad(&format!("dz{i}")),
            Self::Activation(i) => f.pad(&format!("dh{i}")),
            Self::Inputs => f.pad("dx"),
            Self::Delta => f.pad("delta"),
        }
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let unknown = || {
            format!("{word:?} names no gradient; dW2, db2, dz1, dh1, dx and delta are such names")
        };
        match word {
            "dx" => return Ok(Self::Inputs),
            "delta" => return Ok(Self::Delta),
            _ => {}
        }
        let (kind, digits) = word.split_at_checked(2).ok_or_else(unknown)?;
        // `parse` alone would take "+2" and "02", and then two names would mean one quantity.
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unknown());
        }
        let layer = digits.parse().map_err(|_| unknown())?;
        match kind {
            "dW" => Ok(Self::Weights(layer)),
            "db" => Ok(Self::Bias(layer)),
            "dz" => Ok(Self::PreActivation(layer)),
            "dh" => Ok(Self::Activation(layer)),
            _ => Err(unknown()),
        }
    }
}

impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
