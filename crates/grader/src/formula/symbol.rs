//! The quantities of a network that a formula can name, and the interface to their values.

use super::Matrix;

/// A quantity. Layers count from 1; h⁰ is x. Rows are samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Symbol {
    /// Wⁱ, nᵢ × nᵢ₋₁.
    Weights(usize),
    /// bⁱ, 1 × nᵢ.
    Bias(usize),
    /// zⁱ, m × nᵢ.
    PreActivation(usize),
    /// hⁱ, m × nᵢ, from h⁰ = x to hᴸ = f.
    Activation(usize),
    /// y, m × n_L.
    Targets,
    /// δ = ∂l/∂zᴸ, m × n_L.
    Delta,
    /// l, one number.
    Loss,
    /// l_k, m × 1: the loss of each sample.
    SampleLoss,
    /// m.
    BatchSize,
    /// nᵢ.
    Units(usize),
    /// The scalar x in a question about a function of one number.
    Argument,
    /// A constant of the assignment, such as λ, by its place among them.
    Constant(usize),
}

/// The values of a formula's symbols: one network with one batch.
pub trait Bindings: Sync {
    /// The symbol's value; `None` if the network has no such quantity.
    fn value(&self, symbol: Symbol) -> Option<&Matrix>;

    /// Whether the samples of a batch are columns, and a bias is one too.
    fn samples_are_columns(&self) -> bool {
        false
    }

    /// Whether the question is about many samples, so that one index below h is a sample even where there is only one.
    fn is_batch(&self) -> bool {
        false
    }

    /// L.
    fn depth(&self) -> usize;

    /// σ of the hidden layers.
    fn activation(&self, z: f64) -> f64;

    /// σ′ of the hidden layers.
    fn activation_slope(&self, z: f64) -> f64;

    /// ∂`of`/∂`with_respect_to`, exactly: a row for each entry of the former, a column for each entry of the latter,
    /// both row-major. `None` if either cannot be differentiated (a size, say).
    fn jacobian(&self, of: Symbol, with_respect_to: Symbol) -> Option<Matrix>;

    /// The same network with one entry (row-major) of `symbol` moved by `by`, and everything that depends on it
    /// recomputed; what `symbol` itself depends on stays. `None` if it cannot be moved.
    fn moved(&self, symbol: Symbol, entry: usize, by: f64) -> Option<Box<dyn Bindings>>;
}
