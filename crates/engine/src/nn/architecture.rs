//! The shape of a network: its layers, and the ranges of their parameters.

use std::ops::Range;

use super::{Activation, ReluAtZero};
use crate::fault::Violations;

/// Limits on the size of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchitectureLimits {
    /// The most layers.
    pub layers: usize,
    /// The most units of one layer, and the most features.
    pub units: usize,
    /// The most weights and biases in all.
    pub parameters: usize,
}

impl ArchitectureLimits {
    /// The largest limits that any setting allows. A network within them is valid even if the current limits are lower.
    pub const LARGEST: Self = Self {
        layers: 10_000,
        units: 1 << 30,
        parameters: 1 << 40,
    };
}

/// The initialization of a layer's weights. Biases start at 0, except with [`Init::PytorchLinear`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Init {
    /// N(0, 2 / fan_in) (He et al. 2015).
    HeNormal,
    /// U(−a, a), a = √(6 / fan_in).
    HeUniform,
    /// N(0, 2 / (fan_in + fan_out)) (Glorot and Bengio 2010).
    XavierNormal,
    /// U(−a, a), a = √(6 / (fan_in + fan_out)).
    XavierUniform,
    /// N(0, 1 / fan_in) (LeCun et al. 1998).
    LecunNormal,
    /// U(−a, a), a = √(3 / fan_in).
    LecunUniform,
    /// All zero.
    Zeros,
    /// Weights and bias U(−a, a), a = 1 / √fan_in.
    PytorchLinear,
}

impl Init {
    /// The usual choice for an activation.
    pub fn default_for(activation: Activation) -> Self {
        match activation {
            Activation::Relu
            | Activation::LeakyRelu { .. }
            | Activation::Gelu
            | Activation::Silu => Self::HeNormal,
            Activation::Linear | Activation::Sigmoid | Activation::Tanh => Self::XavierNormal,
        }
    }
}

/// One layer as a client requests it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerSpec {
    /// nᵢ; values below 1 are violations.
    pub units: i64,
    /// σ.
    pub activation: Activation,
    /// Whether the layer has a b.
    pub bias: bool,
    /// The initialization of the weights.
    pub init: Init,
}

/// One layer, z = h Wᵀ + b.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// nᵢ₋₁, the columns of W.
    pub fan_in: usize,
    /// nᵢ, the rows of W.
    pub units: usize,
    /// σ.
    pub activation: Activation,
    /// The initialization of the weights.
    pub init: Init,
    /// The range of W (units × fan_in, row-major) in the flat parameters.
    pub weights: Range<usize>,
    /// The range of b (units) in the flat parameters; empty without a bias.
    pub bias: Range<usize>,
}

impl Layer {
    /// Whether the layer has a b.
    pub fn has_bias(&self) -> bool {
        !self.bias.is_empty()
    }
}

/// A network's shape. One flat vector holds the parameters of all layers: W¹, b¹, W², b², ….
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    input_size: usize,
    layers: Vec<Layer>,
    relu_at_zero: ReluAtZero,
}

impl Architecture {
    /// Lays out the layers, or returns every violation.
    ///
    /// # Errors
    /// No layers, too many layers or parameters, or sizes below 1 or above `limits`.
    pub fn new(
        input_size: i64,
        specs: &[LayerSpec],
        relu_at_zero: ReluAtZero,
        limits: &ArchitectureLimits,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let sizes = format!("1 to {}", limits.units);
        let in_range = |size: i64| {
            usize::try_from(size)
                .ok()
                .filter(|size| (1..=limits.units).contains(size))
        };
        if in_range(input_size).is_none() {
            violations.add("input_size", input_size, &sizes);
        }
        if specs.is_empty() || specs.len() > limits.layers {
            let given = format!("{} layers", specs.len());
            violations.add("layers", given, format!("1 to {} layers", limits.layers));
            return Err(violations);
        }
        for (index, spec) in specs.iter().enumerate() {
            if in_range(spec.units).is_none() {
                violations.add(format!("layers[{index}].units"), spec.units, &sizes);
            }
            if let Activation::LeakyRelu { slope } = spec.activation
                && !(0.0..=1.0).contains(&slope)
            {
                let field = format!("layers[{index}].leaky_relu_slope");
                violations.add(field, slope, "0 to 1");
            }
        }
        if !violations.is_empty() {
            return Err(violations);
        }

        let mut fan_in = in_range(input_size).unwrap_or(1);
        let input_size = fan_in;
        let mut next = 0_usize;
        let mut layers = Vec::with_capacity(specs.len());
        for spec in specs {
            let units = in_range(spec.units).unwrap_or(1);
            // Sizes are at most `limits.units`, and one layer more than the limit ends the loop: no overflow.
            let weights = next..next.saturating_add(units.saturating_mul(fan_in));
            let bias = weights.end
                ..weights
                    .end
                    .saturating_add(if spec.bias { units } else { 0 });
            next = bias.end;
            layers.push(Layer {
                fan_in,
                units,
                activation: spec.activation,
                init: spec.init,
                weights,
                bias,
            });
            fan_in = units;
        }
        if next > limits.parameters {
            let given = format!("{next} weights and biases");
            let allowed = format!("at most {}; use fewer or smaller layers", limits.parameters);
            violations.add("layers", given, allowed);
            return Err(violations);
        }
        Ok(Self {
            input_size,
            layers,
            relu_at_zero,
        })
    }

    /// n₀.
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// n_L.
    pub fn output_size(&self) -> usize {
        self.layers
            .last()
            .map_or(self.input_size, |layer| layer.units)
    }

    /// The layers, W¹ first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// L.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// σ′(0).
    pub fn relu_at_zero(&self) -> ReluAtZero {
        self.relu_at_zero
    }

    /// The number of weights and biases.
    pub fn parameter_count(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.bias.end)
    }

    /// The number of entries of z and h over all layers, for one sample.
    pub fn units_per_sample(&self) -> usize {
        self.layers.iter().map(|layer| layer.units).sum()
    }

    /// Floating-point operations of one forward pass over `rows` samples, products alone.
    pub fn forward_flops(&self, rows: usize) -> u64 {
        let weights: usize = self.layers.iter().map(|layer| layer.weights.len()).sum();
        2_u64
            .saturating_mul(weights as u64)
            .saturating_mul(rows as u64)
    }

    /// The size nᵢ for i from 0 to L.
    pub fn size(&self, layer: usize) -> usize {
        match layer.checked_sub(1) {
            None => self.input_size,
            Some(index) => self.layers[index].units,
        }
    }
}
