//! ∂A/∂B of any two quantities of one forward pass, with the parameters fixed: one vector–Jacobian product for each
//! entry of A.

use faer::Par;

use super::backward::{Backward, InputGradient};
use super::mlp::Trace;
use super::quantity::{Pass, Quantity, Shape};
use super::{Objective, Scalar, TargetsRef};

/// A quantity to differentiate or to differentiate with respect to. Layers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// x = h⁰, m × n₀.
    Inputs,
    /// Wⁱ, nᵢ × nᵢ₋₁.
    Weights(usize),
    /// bⁱ, nᵢ.
    Bias(usize),
    /// zⁱ, m × nᵢ.
    PreActivation(usize),
    /// hⁱ, m × nᵢ.
    Activation(usize),
    /// l, one number.
    Loss,
}

/// ∂A/∂B: a row for each entry of A, a column for each entry of B, both in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Jacobian<T> {
    /// The number of entries of A.
    pub rows: usize,
    /// The number of entries of B.
    pub columns: usize,
    /// The entries, row by row.
    pub entries: Vec<T>,
}

impl Node {
    /// The quantity itself, with its layer; `None` for the loss, which is one number.
    pub fn value(self) -> Option<(Quantity, usize)> {
        match self {
            Self::Inputs => Some((Quantity::Inputs, 0)),
            Self::Weights(i) => Some((Quantity::Weights, i)),
            Self::Bias(i) => Some((Quantity::Bias, i)),
            Self::PreActivation(i) => Some((Quantity::PreActivation, i)),
            Self::Activation(i) => Some((Quantity::Activation, i)),
            Self::Loss => None,
        }
    }

    /// ∂l/∂ the quantity, with its layer; `None` for the loss.
    pub fn gradient(self) -> Option<(Quantity, usize)> {
        match self {
            Self::Inputs => Some((Quantity::InputsGradient, 0)),
            Self::Weights(i) => Some((Quantity::WeightsGradient, i)),
            Self::Bias(i) => Some((Quantity::BiasGradient, i)),
            Self::PreActivation(i) => Some((Quantity::PreActivationGradient, i)),
            Self::Activation(i) => Some((Quantity::ActivationGradient, i)),
            Self::Loss => None,
        }
    }

    /// The number of its entries in this pass; 0 if the network does not have it.
    pub fn entries<T: Scalar>(self, trace: &Trace<'_, T>) -> usize {
        let Some((quantity, layer)) = self.value() else {
            return 1;
        };
        let shape = quantity.shape(trace.mlp().architecture(), trace.rows(), layer);
        shape.map_or(0, Shape::entries)
    }

    /// Its position in the forward pass: a quantity can only depend on those with a smaller one.
    fn depth(self, layers: usize) -> usize {
        match self {
            Self::Inputs => 0,
            Self::Weights(i) | Self::Bias(i) => 3 * i - 2,
            Self::PreActivation(i) => 3 * i - 1,
            Self::Activation(i) => 3 * i,
            Self::Loss => 3 * layers + 1,
        }
    }
}

impl<T: Scalar> Trace<'_, T> {
    /// ∂`of`/∂`with_respect_to`. The targets are used only if `of` is the loss.
    pub fn jacobian(
        &self,
        of: Node,
        with_respect_to: Node,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        par: Par,
    ) -> Jacobian<T> {
        let layers = self.mlp().architecture().depth();
        let (rows, columns) = (of.entries(self), with_respect_to.entries(self));
        let mut entries = vec![T::ZERO; rows * columns];
        if of == with_respect_to {
            for i in 0..rows {
                entries[i * columns + i] = T::ONE;
            }
        } else if of.depth(layers) > with_respect_to.depth(layers) && !of.is_leaf() {
            let mut backward = Backward::new(
                self.mlp().architecture(),
                self.rows(),
                InputGradient::Compute,
            );
            for (entry, row) in entries.chunks_exact_mut(columns.max(1)).enumerate() {
                self.pull_back(of, entry, objective, targets, &mut backward, par);
                let pass = Pass {
                    trace: *self,
                    backward: &backward,
                    targets,
                };
                let gradient = with_respect_to.gradient();
                let gradient = gradient.and_then(|(quantity, i)| pass.borrowed(quantity, i));
                row.copy_from_slice(gradient.unwrap_or_default());
            }
        }
        Jacobian {
            rows,
            columns,
            entries,
        }
    }

    /// Fills `backward` with the gradient of one entry of `of`.
    fn pull_back(
        &self,
        of: Node,
        entry: usize,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        par: Par,
    ) {
        match of {
            Node::Loss => {
                self.backward(objective, targets, backward, par);
            }
            Node::PreActivation(i) => {
                place_unit(backward.dz_mut(i, self.entries(i)), entry);
                self.pull_back_z(i, backward, par, None);
            }
            Node::Activation(i) => {
                place_unit(backward.dh_mut(i, self.entries(i)), entry);
                self.pull_back_h(i, backward, par, None);
            }
            Node::Inputs | Node::Weights(_) | Node::Bias(_) => {}
        }
    }
}

impl Node {
    /// Whether it depends on nothing that can be differentiated with respect to.
    fn is_leaf(self) -> bool {
        match self {
            Self::Inputs | Self::Weights(_) | Self::Bias(_) => true,
            Self::PreActivation(_) | Self::Activation(_) | Self::Loss => false,
        }
    }
}

/// The cotangent that selects one entry.
fn place_unit<T: Scalar>(cotangent: &mut [T], entry: usize) {
    cotangent.fill(T::ZERO);
    cotangent[entry] = T::ONE;
}
