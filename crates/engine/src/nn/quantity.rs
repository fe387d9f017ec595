//! Every quantity of the forward and the backward pass that can be shown, with its shape and entries.
//!
//! This is the only list of them. [`super::jacobian::Node`] names those that can be differentiated; the protobuf layer
//! and the grader map their own names to it.

use std::borrow::Cow;
use std::ops::Deref;

use super::backward::Backward;
use super::mlp::Trace;
use super::{Architecture, Scalar, TargetsRef};

/// A quantity, for every layer that has it. Quantities of the whole network, such as x, belong to layer 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quantity {
    /// x, m × n₀.
    Inputs,
    /// zⁱ, m × nᵢ.
    PreActivation,
    /// hⁱ, m × nᵢ.
    Activation,
    /// y, m × n_L: labels are one-hot rows, or 0 and 1 for a single output.
    Targets,
    /// l_k, m: the loss of each sample.
    SampleLoss,
    /// dWⁱ = ∂l/∂Wⁱ, nᵢ × nᵢ₋₁.
    WeightsGradient,
    /// dbⁱ = ∂l/∂bⁱ, nᵢ.
    BiasGradient,
    /// dzⁱ = ∂l/∂zⁱ, m × nᵢ.
    PreActivationGradient,
    /// dhⁱ = ∂l/∂hⁱ, m × nᵢ.
    ActivationGradient,
    /// dx = ∂l/∂x, m × n₀.
    InputsGradient,
    /// δ = ∂l/∂zᴸ, m × n_L.
    Delta,
    /// Wⁱ, nᵢ × nᵢ₋₁.
    Weights,
    /// bⁱ, nᵢ.
    Bias,
}

/// The axes of a quantity: rows and columns, or the length of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    axes: [usize; 2],
    rank: usize,
}

/// A forward pass and the backward pass from it.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a, T> {
    /// The forward pass.
    pub trace: Trace<'a, T>,
    /// The gradients computed from it.
    pub backward: &'a Backward<T>,
    /// The targets of that backward pass.
    pub targets: TargetsRef<'a, T>,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 13] = [
        Self::Inputs,
        Self::PreActivation,
        Self::Activation,
        Self::Targets,
        Self::SampleLoss,
        Self::WeightsGradient,
        Self::BiasGradient,
        Self::PreActivationGradient,
        Self::ActivationGradient,
        Self::InputsGradient,
        Self::Delta,
        Self::Weights,
        Self::Bias,
    ];

    /// The symbol in plain text; a layer's number follows it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Inputs => "x",
            Self::PreActivation => "z",
            Self::Activation => "h",
            Self::Targets => "y",
            Self::SampleLoss => "l",
            Self::WeightsGradient => "dW",
            Self::BiasGradient => "db",
            Self::PreActivationGradient => "dz",
            Self::ActivationGradient => "dh",
            Self::InputsGradient => "dx",
            Self::Delta => "delta",
            Self::Weights => "W",
            Self::Bias => "b",
        }
    }

    /// Whether it belongs to the layers and not to the whole network.
    pub fn is_of_layers(self) -> bool {
        match self {
            Self::Inputs
            | Self::Targets
            | Self::SampleLoss
            | Self::InputsGradient
            | Self::Delta => false,
            Self::PreActivation
            | Self::Activation
            | Self::WeightsGradient
            | Self::BiasGradient
            | Self::PreActivationGradient
            | Self::ActivationGradient
            | Self::Weights
            | Self::Bias => true,
        }
    }

    /// The layers that have it, counted from 1; 0 alone for a quantity of the network.
    #[inline]
    pub fn layers(self, architecture: &Architecture) -> impl Iterator<Item = usize> + use<'_> {
        let layers = if self.is_of_layers() {
            1..=architecture.depth()
        } else {
            0..=0
        };
        let needs_bias = matches!(self, Self::Bias | Self::BiasGradient);
        layers.filter(move |&i| !needs_bias || architecture.layers()[i - 1].has_bias())
    }

    /// Its shape at a layer, for a batch of `rows` samples; `None` if the layer does not have it.
    #[inline]
    pub fn shape(self, architecture: &Architecture, rows: usize, layer: usize) -> Option<Shape> {
        let own = || architecture.layers().get(layer.checked_sub(1)?);
        let of_network = |shape| (layer == 0).then_some(shape);
        match self {
            Self::Inputs | Self::InputsGradient => {
                of_network(Shape::matrix(rows, architecture.input_size()))
            }
            Self::Targets | Self::Delta => {
                of_network(Shape::matrix(rows, architecture.output_size()))
            }
            Self::SampleLoss => of_network(Shape::vector(rows)),
            Self::PreActivation
            | Self::Activation
            | Self::PreActivationGradient
            | Self::ActivationGradient => Some(Shape::matrix(rows, own()?.units)),
            Self::Weights | Self::WeightsGradient => {
                let own = own()?;
                Some(Shape::matrix(own.units, own.fan_in))
            }
            Self::Bias | Self::BiasGradient => {
                let own = own()?;
                own.has_bias().then(|| Shape::vector(own.units))
            }
        }
    }

    /// The number of its entries over all layers, for a batch of `rows` samples.
    pub fn entries(self, architecture: &Architecture, rows: usize) -> usize {
        let shapes = self
            .layers(architecture)
            .filter_map(|layer| self.shape(architecture, rows, layer));
        shapes.map(Shape::entries).sum()
    }
}

impl Shape {
    fn matrix(rows: usize, columns: usize) -> Self {
        Self {
            axes: [rows, columns],
            rank: 2,
        }
    }

    fn vector(entries: usize) -> Self {
        Self {
            axes: [entries, 1],
            rank: 1,
        }
    }

    /// The number of entries of this shape.
    pub fn entries(self) -> usize {
        self.axes[0] * self.axes[1]
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.axes[..self.rank]
    }
}

impl<T: Scalar> Pass<'_, T> {
    /// The shape and the entries of a quantity at a layer, row by row. `None` if the layer does not have it, and for dx
    /// of a backward pass that skipped it.
    ///
    /// The entries are borrowed from the pass, except for two that are computed here: targets given as labels, and the
    /// loss of each sample.
    #[inline]
    pub fn entries(&self, quantity: Quantity, layer: usize) -> Option<(Shape, Cow<'_, [T]>)> {
        let architecture = self.trace.mlp().architecture();
        let shape = quantity.shape(architecture, self.trace.rows(), layer)?;
        let entries = if quantity == Quantity::Targets {
            self.target_values()
        } else if quantity == Quantity::SampleLoss {
            let losses = self.backward.loss_per_sample(self.trace.rows()).iter();
            Cow::Owned(losses.map(|&loss| T::from_f64(loss)).collect())
        } else {
            Cow::Borrowed(self.borrowed(quantity, layer)?)
        };
        Some((shape, entries))
    }

    /// The entries of a quantity that are stored in the pass, for a layer that has it.
    #[inline]
    pub(super) fn borrowed(&self, quantity: Quantity, layer: usize) -> Option<&[T]> {
        let (trace, backward) = (&self.trace, self.backward);
        let architecture = trace.mlp().architecture();
        let depth = architecture.depth();
        Some(match quantity {
            Quantity::Inputs => trace.h(0),
            Quantity::PreActivation => trace.z(layer),
            Quantity::Activation => trace.h(layer),
            Quantity::PreActivationGradient => backward.dz(layer, trace.entries(layer)),
            Quantity::ActivationGradient => backward.dh(layer, trace.entries(layer)),
            Quantity::InputsGradient if backward.has_input_gradient() => {
                backward.dh(0, trace.entries(0))
            }
            Quantity::Delta => backward.dz(depth, trace.entries(depth)),
            Quantity::WeightsGradient => {
                &backward.parameters()[architecture.layers()[layer - 1].weights.clone()]
            }
            Quantity::BiasGradient => {
                &backward.parameters()[architecture.layers()[layer - 1].bias.clone()]
            }
            Quantity::Weights => trace.mlp().weights(layer),
            Quantity::Bias => trace.mlp().bias(layer),
            Quantity::InputsGradient | Quantity::Targets | Quantity::SampleLoss => return None,
        })
    }

    /// y as numbers.
    fn target_values(&self) -> Cow<'_, [T]> {
        let n = self.trace.mlp().architecture().output_size();
        match self.targets {
            TargetsRef::Values(values) => Cow::Borrowed(values),
            TargetsRef::Labels(labels) => {
                let mut values = vec![T::ZERO; labels.len() * n];
                for (row, &label) in values.chunks_exact_mut(n).zip(labels) {
                    match row {
                        [single] => *single = T::from_f64(label.into()),
                        row => row[label as usize] = T::ONE,
                    }
                }
                Cow::Owned(values)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use faer::Par;

    use super::*;
    use crate::nn::{
        Activation, ArchitectureLimits, ForwardBuffers, Init, InputGradient, LayerSpec, Loss, Mlp,
        Objective, Reduction, ReluAtZero,
    };

    fn architecture() -> Architecture {
        let layer = |units, activation, bias| LayerSpec {
            units,
            activation,
            bias,
            init: Init::Zeros,
        };
        let limits = ArchitectureLimits {
            layers: 2,
            units: 9,
            parameters: 99,
        };
        let layers = [
            layer(3, Activation::Relu, false),
            layer(2, Activation::Linear, true),
        ];
        Architecture::new(4, &layers, ReluAtZero::One, &limits).expect("small")
    }

    #[test]
    fn every_quantity_has_the_shape_that_it_says_and_as_many_entries() {
        let architecture = architecture();
        let objective = Objective {
            loss: Loss::CrossEntropy,
            reduction: Reduction::Mean,
        };
        let parameters: Vec<f64> = (0..architecture.parameter_count())
            .map(|at| 0.1 * at as f64 - 0.7)
            .collect();
        let (inputs, labels) = ([1.0, -2.0, 0.5, 3.0].repeat(5), [0, 1, 1, 0, 1]);
        let targets = TargetsRef::Labels(&labels);
        let mut buffers = ForwardBuffers::new(&architecture, 6);
        let mut backward = Backward::new(&architecture, 6, InputGradient::Compute);
        let trace =
            Mlp::new(&architecture, &parameters).forward(&inputs, 5, &mut buffers, Par::Seq);
        let loss = trace.backward(objective, targets, &mut backward, Par::Seq);
        let pass = Pass {
            trace,
            backward: &backward,
            targets,
        };

        let mut shown = Vec::new();
        for quantity in Quantity::ALL {
            let mut total = 0;
            for layer in quantity.layers(&architecture) {
                let (shape, entries) = pass.entries(quantity, layer).expect("the layer has it");
                assert_eq!(shape.iter().product::<usize>(), entries.len());
                assert_eq!(shape.entries(), entries.len());
                total += entries.len();
                let layer = Some(layer).filter(|&i| i > 0);
                let layer = layer.map_or(String::new(), |i| i.to_string());
                shown.push(format!("{}{layer} {:?}", quantity.symbol(), &shape[..]));
            }
            assert_eq!(quantity.entries(&architecture, 5), total, "{quantity:?}");
        }
        let expected = [
            "x [5, 4]",
            "z1 [5, 3]",
            "z2 [5, 2]",
            "h1 [5, 3]",
            "h2 [5, 2]",
            "y [5, 2]",
            "l [5]",
            "dW1 [3, 4]",
            "dW2 [2, 3]",
            "db2 [2]",
            "dz1 [5, 3]",
            "dz2 [5, 2]",
            "dh1 [5, 3]",
            "dh2 [5, 2]",
            "dx [5, 4]",
            "delta [5, 2]",
            "W1 [3, 4]",
            "W2 [2, 3]",
            "b2 [2]",
        ];
        assert_eq!(shown, expected);

        let entries = |quantity, layer| pass.entries(quantity, layer).expect("it has it").1;
        assert_eq!(entries(Quantity::Inputs, 0)[..], inputs);
        assert_eq!(entries(Quantity::Weights, 2)[..], parameters[12..18]);
        assert_eq!(entries(Quantity::Bias, 2)[..], parameters[18..]);
        assert_eq!(entries(Quantity::Targets, 0)[..4], [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(
            entries(Quantity::Delta, 0),
            entries(Quantity::PreActivationGradient, 2)
        );
        let mean = entries(Quantity::SampleLoss, 0).iter().sum::<f64>() / 5.0;
        assert!((mean - loss).abs() < 1e-12, "{mean} {loss}");
    }

    #[test]
    fn a_layer_has_no_quantity_of_another() {
        let architecture = architecture();
        for (quantity, layer) in [
            (Quantity::Bias, 1),
            (Quantity::BiasGradient, 1),
            (Quantity::Weights, 0),
            (Quantity::Weights, 3),
            (Quantity::PreActivation, 0),
            (Quantity::Inputs, 1),
            (Quantity::Delta, 2),
        ] {
            assert_eq!(quantity.shape(&architecture, 5, layer), None);
        }
    }
}
