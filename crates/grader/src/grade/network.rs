//! One sample network with one batch, on which formulas are evaluated.

mod layout;
mod quantities;

use std::sync::Arc;

use faer::Par;

pub use self::layout::{Layout, Samples, WeightShape};
use self::layout::{places_of_transpose, rows_in_order};
pub(super) use self::quantities::MAX_CONSTANTS;
use self::quantities::Quantities;
use super::NetworkSpec;
use crate::formula::{Bindings, Matrix, Symbol};
use backpropd_engine::nn::jacobian::Node;
use backpropd_engine::nn::{
    Activation, Architecture, ForwardBuffers, Mlp, Objective, Reduction, ReluAtZero, TargetsRef,
};

/// The parameters and the batch of a [`NetworkSpec`].
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// W¹, b¹, W², …, in the layout of the architecture.
    pub parameters: Vec<f64>,
    /// x, m × n₀.
    pub inputs: Vec<f64>,
    /// y, m × n_L.
    pub targets: Vec<f64>,
    /// The scalar in questions about a function of one number.
    pub argument: f64,
}

/// A network with a batch, and the value of every quantity that a formula can name.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    architecture: Arc<Architecture>,
    objective: Objective,
    values: Quantities,
    /// How the course lays matrices out, and those that differ from `values`: their transposes.
    layout: Layout,
    laid_out: Quantities,
    /// Whether the question is about many samples.
    is_batch: bool,
    /// Whether a z or an h was moved, so that it no longer follows from its inputs.
    detached: bool,
}

impl Network {
    /// Computes every value.
    ///
    /// # Panics
    /// If the number of parameters does not match the network, or there is no sample.
    pub fn new(spec: &NetworkSpec, numbers: &Numbers) -> Self {
        let architecture = &spec.architecture;
        let (n0, n) = (architecture.input_size(), architecture.output_size());
        let m = numbers.inputs.len() / n0;
        assert!(m > 0, "a batch has a sample");
        assert_eq!(numbers.parameters.len(), architecture.parameter_count());
        let mut values = Quantities::default();
        let inputs = Matrix::new(m, n0, numbers.inputs.clone());
        values.insert(Symbol::Activation(0), inputs);
        let targets = Matrix::new(m, n, numbers.targets.clone());
        values.insert(Symbol::Targets, targets);
        values.insert(Symbol::BatchSize, Matrix::scalar(m as f64));
        values.insert(Symbol::Units(0), Matrix::scalar(n0 as f64));
        values.insert(Symbol::Argument, Matrix::scalar(numbers.argument));
        for (i, layer) in (1..).zip(architecture.layers()) {
            let w = numbers.parameters[layer.weights.clone()].to_vec();
            values.insert(
                Symbol::Weights(i),
                Matrix::new(layer.units, layer.fan_in, w),
            );
            values.insert(Symbol::Units(i), Matrix::scalar(layer.units as f64));
            if layer.has_bias() {
                let b = numbers.parameters[layer.bias.clone()].to_vec();
                values.insert(Symbol::Bias(i), Matrix::new(1, layer.units, b));
            }
        }
        let mut network = Self {
            architecture: Arc::clone(architecture),
            objective: spec.objective,
            values,
            layout: Layout::default(),
            laid_out: Quantities::default(),
            is_batch: false,
            detached: false,
        };
        network.compute_from(0);
        network
    }

    /// The same network as a course with this layout sees it.
    #[must_use]
    pub fn in_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self.lay_out();
        self
    }

    /// The same network in a question about many samples, or about one.
    #[must_use]
    pub fn of_batch(mut self, is_batch: bool) -> Self {
        self.is_batch = is_batch;
        self
    }

    /// The same network with values for the assignment's constants.
    #[must_use]
    pub fn with_constants(mut self, constants: impl IntoIterator<Item = Matrix>) -> Self {
        for (at, value) in constants.into_iter().take(MAX_CONSTANTS).enumerate() {
            self.values.insert(Symbol::Constant(at), value);
        }
        self
    }

    /// Transposes what the course writes transposed.
    fn lay_out(&mut self) {
        self.laid_out = Quantities::default();
        if self.layout == Layout::default() {
            return;
        }
        for symbol in self.symbols() {
            if self.layout.transposes(symbol)
                && let Some(value) = self.values.get(symbol)
            {
                self.laid_out.insert(symbol, value.transposed());
            }
        }
    }

    /// Every quantity that has a matrix.
    fn symbols(&self) -> impl Iterator<Item = Symbol> + use<> {
        let of_layer = |i| {
            [
                Symbol::Weights(i),
                Symbol::Bias(i),
                Symbol::PreActivation(i),
                Symbol::Activation(i),
            ]
        };
        let of_network = [
            Symbol::Activation(0),
            Symbol::Targets,
            Symbol::Delta,
            Symbol::SampleLoss,
        ];
        let layers = (1..=self.architecture.depth()).flat_map(of_layer);
        of_network.into_iter().chain(layers)
    }

    /// ∂`of`/∂`with_respect_to` with the entries in the course's order.
    fn jacobian_in_layout(&self, of: Symbol, with_respect_to: Symbol, jacobian: Matrix) -> Matrix {
        let order = |symbol: Symbol| match self.values.get(symbol) {
            Some(value) if self.layout.transposes(symbol) => {
                Some(places_of_transpose(value.shape()))
            }
            _ => None,
        };
        let mut jacobian = jacobian;
        if let Some(rows) = order(of) {
            jacobian = rows_in_order(&jacobian, rows);
        }
        if let Some(columns) = order(with_respect_to) {
            jacobian = rows_in_order(&jacobian.transposed(), columns).transposed();
        }
        jacobian
    }

    /// The shape.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The loss and its reduction.
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// m.
    pub fn samples(&self) -> usize {
        self.of(Symbol::Targets).rows()
    }

    /// Computes everything after `position` in the forward pass: zⁱ = hⁱ⁻¹ Wⁱᵀ + bⁱ, hⁱ = σ(zⁱ), l and δ. It uses plain
    /// loops, which makes it an independent check of the engine's products.
    fn compute_from(&mut self, position: usize) {
        let architecture = Arc::clone(&self.architecture);
        for (i, layer) in (1..).zip(architecture.layers()) {
            if position < self.position(Symbol::PreActivation(i)) {
                let z = self.pre_activation(i);
                self.values.insert(Symbol::PreActivation(i), z);
            }
            if position < self.position(Symbol::Activation(i)) {
                let mut h = self.of(Symbol::PreActivation(i)).clone();
                for h in h.entries_mut() {
                    *h = sigma(layer.activation, *h);
                }
                self.values.insert(Symbol::Activation(i), h);
            }
        }
        self.compute_loss();
    }

    /// zⁱ_{k,j} = Σ_q hⁱ⁻¹_{k,q} Wⁱ_{j,q} + bⁱ_j.
    fn pre_activation(&self, i: usize) -> Matrix {
        let h = self.of(Symbol::Activation(i - 1));
        let w = self.of(Symbol::Weights(i));
        let mut z = Matrix::filled(h.rows(), w.rows(), 0.0);
        for k in 0..h.rows() {
            for j in 0..w.rows() {
                let mut sum = self.values.get(Symbol::Bias(i)).map_or(0.0, |b| b.at(0, j));
                for q in 0..h.columns() {
                    sum += h.at(k, q) * w.at(j, q);
                }
                z.entries_mut()[k * w.rows() + j] = sum;
            }
        }
        z
    }

    /// l, l_k and δ = ∂l/∂f ⊙ σ′(zᴸ).
    fn compute_loss(&mut self) {
        let (loss, per_sample, df) = self.evaluate_loss();
        let z = self.of(Symbol::PreActivation(self.architecture.depth()));
        let slopes = z.map(|z| slope(self.output_activation(), z, self.at_zero()));
        let delta = slopes.zip(&df, |slope, df| slope * df);
        self.values.insert(Symbol::Loss, Matrix::scalar(loss));
        self.values.insert(Symbol::SampleLoss, per_sample);
        self.values.insert(Symbol::Delta, delta);
    }

    /// l, l_k (m × 1) and ∂l/∂f (m × n_L).
    fn evaluate_loss(&self) -> (f64, Matrix, Matrix) {
        let f = self.of(Symbol::Activation(self.architecture.depth()));
        let y = TargetsRef::Values(self.of(Symbol::Targets).entries());
        let mut df = Matrix::filled(f.rows(), f.columns(), 0.0);
        let mut per_sample = Matrix::filled(f.rows(), 1, 0.0);
        let loss = self.objective.evaluate(
            f.entries(),
            y,
            per_sample.entries_mut(),
            df.entries_mut(),
            faer::Par::Seq,
        );
        (loss, per_sample, df)
    }

    /// The value of a symbol that every network has.
    fn of(&self, symbol: Symbol) -> &Matrix {
        let value = self.values.get(symbol);
        value.expect("a network has every symbol of its layers")
    }

    fn at_zero(&self) -> ReluAtZero {
        self.architecture.relu_at_zero()
    }

    fn hidden_activation(&self) -> Activation {
        self.architecture.layers()[0].activation
    }

    fn output_activation(&self) -> Activation {
        self.architecture.layers()[self.architecture.depth() - 1].activation
    }

    /// The position of a symbol in the forward pass: only symbols with a greater position depend on it.
    fn position(&self, symbol: Symbol) -> usize {
        match symbol {
            Symbol::Activation(i) => 3 * i,
            Symbol::Weights(i) | Symbol::Bias(i) => 3 * i - 2,
            Symbol::PreActivation(i) => 3 * i - 1,
            Symbol::Targets
            | Symbol::Delta
            | Symbol::Loss
            | Symbol::SampleLoss
            | Symbol::BatchSize
            | Symbol::Units(_)
            | Symbol::Argument
            | Symbol::Constant(_) => 3 * self.architecture.depth() + 1,
        }
    }

    /// The engine's name of a quantity; `None` if the engine does not differentiate it, or the network does not have
    /// it.
    fn node(&self, symbol: Symbol) -> Option<Node> {
        self.values.get(symbol)?;
        match symbol {
            Symbol::Activation(0) => Some(Node::Inputs),
            Symbol::Activation(i) => Some(Node::Activation(i)),
            Symbol::Weights(i) => Some(Node::Weights(i)),
            Symbol::Bias(i) => Some(Node::Bias(i)),
            Symbol::PreActivation(i) => Some(Node::PreActivation(i)),
            Symbol::Loss => Some(Node::Loss),
            Symbol::Targets
            | Symbol::Delta
            | Symbol::SampleLoss
            | Symbol::BatchSize
            | Symbol::Units(_)
            | Symbol::Argument
            | Symbol::Constant(_) => None,
        }
    }

    fn node_jacobian(&self, of: Node, with_respect_to: Node) -> Matrix {
        let mut parameters = Vec::with_capacity(self.architecture.parameter_count());
        for i in 1..=self.architecture.depth() {
            parameters.extend_from_slice(self.of(Symbol::Weights(i)).entries());
            if let Some(b) = self.values.get(Symbol::Bias(i)) {
                parameters.extend_from_slice(b.entries());
            }
        }
        let mut buffers = ForwardBuffers::new(&self.architecture, self.samples());
        let jacobian = Mlp::new(&self.architecture, &parameters)
            .forward(
                self.of(Symbol::Activation(0)).entries(),
                self.samples(),
                &mut buffers,
                Par::Seq,
            )
            .jacobian(
                of,
                with_respect_to,
                self.objective,
                TargetsRef::Values(self.of(Symbol::Targets).entries()),
                Par::Seq,
            );
        Matrix::new(jacobian.rows, jacobian.columns, jacobian.entries)
    }

    /// ∂l_k/∂B = ∂l_k/∂f_k · ∂f_k/∂B, where l_k is l times m if l is the mean.
    fn sample_loss_jacobian(&self, with_respect_to: Node) -> Matrix {
        let depth = self.architecture.depth();
        let through = self.node_jacobian(Node::Activation(depth), with_respect_to);
        let (m, n) = (self.samples(), self.architecture.output_size());
        let scale = match self.objective.reduction {
            Reduction::Mean => m as f64,
            Reduction::Sum => 1.0,
        };
        let mut own = Matrix::filled(m, m * n, 0.0);
        let (_, _, df) = self.evaluate_loss();
        for (entry, df) in df.entries().iter().enumerate() {
            own.entries_mut()[entry / n * (m * n) + entry] = scale * df;
        }
        own.product(&through)
    }
}

impl Bindings for Network {
    fn value(&self, symbol: Symbol) -> Option<&Matrix> {
        let laid_out = self.laid_out.get(symbol);
        laid_out.or_else(|| self.values.get(symbol))
    }

    fn is_batch(&self) -> bool {
        self.is_batch
    }

    fn samples_are_columns(&self) -> bool {
        self.layout.samples == Samples::Columns
    }

    fn depth(&self) -> usize {
        self.architecture.depth()
    }

    fn activation(&self, z: f64) -> f64 {
        sigma(self.hidden_activation(), z)
    }

    fn activation_slope(&self, z: f64) -> f64 {
        slope(self.hidden_activation(), z, self.at_zero())
    }

    /// Not for δ, and not on a network whose z or h was moved.
    fn jacobian(&self, of: Symbol, with_respect_to: Symbol) -> Option<Matrix> {
        if self.detached {
            return None;
        }
        let below = self.node(with_respect_to)?;
        let jacobian = match (of, below) {
            (Symbol::SampleLoss, Node::Loss) => return None,
            (Symbol::SampleLoss, _) => self.sample_loss_jacobian(below),
            _ => self.node_jacobian(self.node(of)?, below),
        };
        Some(self.jacobian_in_layout(of, with_respect_to, jacobian))
    }

    fn moved(&self, symbol: Symbol, entry: usize, by: f64) -> Option<Box<dyn Bindings>> {
        let is_free = match symbol {
            Symbol::Weights(_)
            | Symbol::Bias(_)
            | Symbol::PreActivation(_)
            | Symbol::Activation(_)
            | Symbol::Targets
            | Symbol::Argument
            | Symbol::Constant(_) => true,
            Symbol::Delta
            | Symbol::Loss
            | Symbol::SampleLoss
            | Symbol::BatchSize
            | Symbol::Units(_) => false,
        };
        if !is_free {
            return None;
        }
        let mut network = self.clone();
        let value = network.values.get_mut(symbol)?;
        let entry = if self.layout.transposes(symbol) {
            places_of_transpose(value.shape()).nth(entry)?
        } else {
            entry
        };
        *value.entries_mut().get_mut(entry)? += by;
        network.detached |= match symbol {
            Symbol::PreActivation(_) => true,
            Symbol::Activation(i) => i > 0,
            Symbol::Weights(_)
            | Symbol::Bias(_)
            | Symbol::Targets
            | Symbol::Delta
            | Symbol::Loss
            | Symbol::SampleLoss
            | Symbol::BatchSize
            | Symbol::Units(_)
            | Symbol::Argument
            | Symbol::Constant(_) => false,
        };
        network.compute_from(self.position(symbol));
        network.lay_out();
        Some(Box::new(network))
    }
}

/// σ(z).
pub(super) fn sigma(activation: Activation, z: f64) -> f64 {
    let mut h = [0.0];
    activation.forward(&[z], &mut h);
    h[0]
}

/// σ′(z).
pub(super) fn slope(activation: Activation, z: f64, at_zero: ReluAtZero) -> f64 {
    let mut dz = [0.0];
    activation.backward(&[z], &[1.0], &mut dz, at_zero);
    dz[0]
}

#[cfg(test)]
mod tests;
