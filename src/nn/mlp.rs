//! The forward and the backward pass.
//!
//! ```text
//! zⁱ = hⁱ⁻¹ Wⁱᵀ + bⁱ        hⁱ = σ(zⁱ)        f = hᴸ
//! δ = ∂l/∂zᴸ.  For i = L … 1:  dWⁱ = dzⁱᵀ hⁱ⁻¹   dbⁱ = Σ_rows dzⁱ   dhⁱ⁻¹ = dzⁱ Wⁱ   dzⁱ⁻¹ = dhⁱ⁻¹ ⊙ σ′(zⁱ⁻¹)
//! ```
//!
//! Every matrix is row-major, rows are samples. Buffers are made once for a number of rows and used again.

use faer::{MatMut, MatRef, Par};

use super::product::{min_rows, product};
use super::{Activation, Architecture, Objective, Scalar, TargetsRef};

/// A network: its shape and its parameters, in the layout of [`Architecture`].
#[derive(Clone, Copy, Debug)]
pub struct Mlp<'a, T> {
    architecture: &'a Architecture,
    parameters: &'a [T],
}

/// Where the forward pass writes; made for a most number of rows.
#[derive(Clone, Debug)]
pub struct ForwardBuffers<T> {
    /// x with rows of padding, for batches smaller than the product wants them.
    inputs: Vec<T>,
    /// zⁱ, padded rows × nᵢ.
    z: Vec<Vec<T>>,
    /// hⁱ, padded rows × nᵢ; empty for a linear layer, whose hⁱ is zⁱ.
    h: Vec<Vec<T>>,
}

/// What a forward pass computed; only [`Mlp::forward`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a, T> {
    mlp: Mlp<'a, T>,
    rows: usize,
    inputs: &'a [T],
    buffers: &'a ForwardBuffers<T>,
}

/// What the backward pass computes.
#[derive(Clone, Debug)]
pub struct Backward<T> {
    /// dzⁱ, rows × nᵢ.
    dz: Vec<Vec<T>>,
    /// dhⁱ, rows × nᵢ.
    dh: Vec<Vec<T>>,
    /// dx, rows × n₀; empty unless asked for.
    dx: Vec<T>,
    /// dW¹, db¹, dW², …, laid out as the parameters.
    parameters: Vec<T>,
    /// l_k, one for each row.
    loss_per_sample: Vec<f64>,
}

/// Whether the backward pass goes on to the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputGradient {
    /// Compute dx.
    Compute,
    /// Leave dx out, which saves a product the size of the first layer's.
    Skip,
}

/// The rows that buffers are made for, so that every layer's product has its fewest.
fn padded_rows(architecture: &Architecture, rows: usize) -> usize {
    architecture
        .layers()
        .iter()
        .map(|layer| min_rows(layer.fan_in, layer.units))
        .fold(rows, usize::max)
}

impl<T: Scalar> ForwardBuffers<T> {
    /// The most bytes that [`Self::new`] takes.
    pub fn bytes(architecture: &Architecture, rows: usize) -> usize {
        let per_row = 2 * architecture.units_per_sample() + architecture.input_size();
        padded_rows(architecture, rows).saturating_mul(per_row * size_of::<T>())
    }

    /// Buffers for batches of at most `rows` samples.
    pub fn new(architecture: &Architecture, rows: usize) -> Self {
        let padded = padded_rows(architecture, rows);
        let zeros = |columns: usize| vec![T::ZERO; padded * columns];
        let layers = architecture.layers();
        Self {
            inputs: zeros(architecture.input_size()),
            z: layers.iter().map(|layer| zeros(layer.units)).collect(),
            h: layers
                .iter()
                .map(|layer| match layer.activation {
                    Activation::Linear => Vec::new(),
                    Activation::Relu
                    | Activation::LeakyRelu { .. }
                    | Activation::Sigmoid
                    | Activation::Tanh
                    | Activation::Gelu
                    | Activation::Silu => zeros(layer.units),
                })
                .collect(),
        }
    }

    /// hⁱ with its padding, for i from 1.
    fn h(&self, layer: usize) -> &[T] {
        let h = &self.h[layer - 1];
        if h.is_empty() { &self.z[layer - 1] } else { h }
    }
}

impl<T: Scalar> Backward<T> {
    /// The most bytes that [`Self::new`] takes.
    pub fn bytes(architecture: &Architecture, rows: usize) -> usize {
        let per_row = 2 * architecture.units_per_sample() + architecture.input_size();
        rows.saturating_mul(per_row * size_of::<T>() + size_of::<f64>())
            .saturating_add(architecture.parameter_count() * size_of::<T>())
    }

    /// Buffers for batches of at most `rows` samples.
    pub fn new(architecture: &Architecture, rows: usize, inputs: InputGradient) -> Self {
        let zeros = |columns: usize| vec![T::ZERO; rows * columns];
        let sized = || {
            architecture
                .layers()
                .iter()
                .map(|layer| zeros(layer.units))
                .collect()
        };
        Self {
            dz: sized(),
            dh: sized(),
            dx: match inputs {
                InputGradient::Compute => zeros(architecture.input_size()),
                InputGradient::Skip => Vec::new(),
            },
            parameters: vec![T::ZERO; architecture.parameter_count()],
            loss_per_sample: vec![0.0; rows],
        }
    }

    /// The gradients of all parameters, laid out as the parameters.
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// The first entries of dzⁱ, for i from 1; the caller knows the rows of its trace.
    pub fn dz(&self, layer: usize, entries: usize) -> &[T] {
        &self.dz[layer - 1][..entries]
    }

    /// The first entries of dhⁱ, for i from 1, or of dx for i = 0.
    pub fn dh(&self, layer: usize, entries: usize) -> &[T] {
        match layer.checked_sub(1) {
            None => &self.dx[..entries],
            Some(index) => &self.dh[index][..entries],
        }
    }

    /// l_k of the first `rows` samples.
    pub fn loss_per_sample(&self, rows: usize) -> &[f64] {
        &self.loss_per_sample[..rows]
    }
}

impl<'a, T: Scalar> Mlp<'a, T> {
    /// A network with these parameters, as many as its architecture counts.
    pub fn new(architecture: &'a Architecture, parameters: &'a [T]) -> Self {
        assert_eq!(
            architecture.parameter_count(),
            parameters.len(),
            "parameters come from a model of this architecture"
        );
        Self {
            architecture,
            parameters,
        }
    }

    /// The shape.
    pub fn architecture(&self) -> &'a Architecture {
        self.architecture
    }

    /// Wⁱ for i from 1, nᵢ × nᵢ₋₁, row-major.
    pub fn weights(&self, layer: usize) -> &'a [T] {
        &self.parameters[self.architecture.layers()[layer - 1].weights.clone()]
    }

    /// bⁱ for i from 1, nᵢ; empty without a bias.
    pub fn bias(&self, layer: usize) -> &'a [T] {
        &self.parameters[self.architecture.layers()[layer - 1].bias.clone()]
    }

    fn weight_matrix(&self, layer: usize) -> MatRef<'a, T> {
        let shape = &self.architecture.layers()[layer - 1];
        MatRef::from_row_major_slice(self.weights(layer), shape.units, shape.fan_in)
    }

    /// Computes every z and h for `inputs` (rows × n₀, row-major). The buffers hold at least `rows` rows. Each row
    /// of the result has the same bits alone and in any batch, for any `par`.
    pub fn forward<'b>(
        &self,
        inputs: &'b [T],
        rows: usize,
        buffers: &'b mut ForwardBuffers<T>,
        par: Par,
    ) -> Trace<'b, T>
    where
        'a: 'b,
    {
        let layers = self.architecture.layers();
        let n0 = self.architecture.input_size();
        for (index, layer) in layers.iter().enumerate() {
            let (n, k) = (layer.units, layer.fan_in);
            let padded = rows.max(min_rows(k, n));
            let (z_before, z_from) = buffers.z.split_at_mut(index);
            let h_before: &[T] = match index.checked_sub(1) {
                None if padded == rows => inputs,
                None => {
                    buffers.inputs[..rows * n0].copy_from_slice(inputs);
                    &buffers.inputs[..padded * k]
                }
                Some(below) if buffers.h[below].is_empty() => &z_before[below][..padded * k],
                Some(below) => &buffers.h[below][..padded * k],
            };
            let z = &mut z_from[0][..padded * n];
            product(
                MatMut::from_row_major_slice_mut(z, padded, n),
                MatRef::from_row_major_slice(h_before, padded, k),
                self.weight_matrix(index + 1).transpose(),
                par,
            );
            let z = &mut z[..rows * n];
            if layer.has_bias() {
                let b = self.bias(index + 1);
                for z in z.chunks_exact_mut(n) {
                    for (z, &b) in z.iter_mut().zip(b) {
                        *z += b;
                    }
                }
            }
            let h = &mut buffers.h[index];
            if !h.is_empty() {
                layer.activation.forward(z, &mut h[..rows * n]);
            }
        }
        Trace {
            mlp: *self,
            rows,
            inputs,
            buffers,
        }
    }
}

impl<T: Scalar> Trace<'_, T> {
    /// m.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The network that made it.
    pub fn mlp(&self) -> Mlp<'_, T> {
        self.mlp
    }

    /// zⁱ for i from 1, m × nᵢ.
    pub fn z(&self, layer: usize) -> &[T] {
        &self.buffers.z[layer - 1][..self.entries(layer)]
    }

    /// hⁱ for i from 0, m × nᵢ; h⁰ = x.
    pub fn h(&self, layer: usize) -> &[T] {
        match layer {
            0 => self.inputs,
            _ => &self.buffers.h(layer)[..self.entries(layer)],
        }
    }

    /// f = hᴸ, m × n_L.
    pub fn outputs(&self) -> &[T] {
        self.h(self.mlp.architecture.depth())
    }

    /// m·nᵢ for i from 0.
    pub fn entries(&self, layer: usize) -> usize {
        self.rows * self.mlp.architecture.size(layer)
    }

    /// Computes the loss and its gradient with respect to everything, and returns the loss. `backward` holds at
    /// least as many rows; it was made with or without dx, and so is what it gets.
    pub fn backward(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        par: Par,
    ) -> f64 {
        let loss = self.loss(objective, targets, backward);
        self.pull_back_h(self.mlp.architecture.depth(), backward, par);
        loss
    }

    /// Computes the loss alone, with the samples' losses and ∂l/∂f = dhᴸ.
    pub fn loss(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
    ) -> f64 {
        let depth = self.mlp.architecture.depth();
        objective.evaluate(
            self.outputs(),
            targets,
            &mut backward.loss_per_sample[..self.rows],
            &mut backward.dh[depth - 1][..self.entries(depth)],
        )
    }

    /// The vector–Jacobian product from hⁱ, i from 1: with ∂A/∂hⁱ in `dh(i)`, fills in ∂A/∂ of everything below.
    pub(super) fn pull_back_h(&self, layer: usize, backward: &mut Backward<T>, par: Par) {
        let entries = self.entries(layer);
        self.mlp.architecture.layers()[layer - 1]
            .activation
            .backward(
                self.z(layer),
                &backward.dh[layer - 1][..entries],
                &mut backward.dz[layer - 1][..entries],
                self.mlp.architecture.relu_at_zero(),
            );
        self.pull_back_z(layer, backward, par);
    }

    /// The vector–Jacobian product from zⁱ, i from 1: with ∂A/∂zⁱ in `dz(i)`, fills in ∂A/∂ of everything below.
    pub(super) fn pull_back_z(&self, layer: usize, backward: &mut Backward<T>, par: Par) {
        for i in (1..=layer).rev() {
            self.parameter_gradients(i, backward, par);
            if i == 1 && backward.dx.is_empty() {
                return;
            }
            let shape = &self.mlp.architecture.layers()[i - 1];
            let below = self.entries(i - 1);
            let dh = match i.checked_sub(2) {
                None => &mut backward.dx[..below],
                Some(index) => &mut backward.dh[index][..below],
            };
            // dhⁱ⁻¹ (m × nᵢ₋₁) = dzⁱ (m × nᵢ) Wⁱ (nᵢ × nᵢ₋₁)
            let dz = &backward.dz[i - 1][..self.entries(i)];
            product(
                MatMut::from_row_major_slice_mut(dh, self.rows, shape.fan_in),
                MatRef::from_row_major_slice(dz, self.rows, shape.units),
                self.mlp.weight_matrix(i),
                par,
            );
            if i > 1 {
                self.mlp.architecture.layers()[i - 2].activation.backward(
                    self.z(i - 1),
                    dh,
                    &mut backward.dz[i - 2][..below],
                    self.mlp.architecture.relu_at_zero(),
                );
            }
        }
    }

    /// dWⁱ (nᵢ × nᵢ₋₁) = dzⁱᵀ (nᵢ × m) hⁱ⁻¹ (m × nᵢ₋₁) and dbⁱ = Σ_rows dzⁱ.
    fn parameter_gradients(&self, i: usize, backward: &mut Backward<T>, par: Par) {
        let layer = &self.mlp.architecture.layers()[i - 1];
        let dz = &backward.dz[i - 1][..self.entries(i)];
        let dw = &mut backward.parameters[layer.weights.clone()];
        product(
            MatMut::from_row_major_slice_mut(dw, layer.units, layer.fan_in),
            MatRef::from_row_major_slice(dz, self.rows, layer.units).transpose(),
            MatRef::from_row_major_slice(self.h(i - 1), self.rows, layer.fan_in),
            par,
        );
        if layer.has_bias() {
            let db = &mut backward.parameters[layer.bias.clone()];
            db.fill(T::ZERO);
            for dz in dz.chunks_exact(layer.units) {
                for (db, &dz) in db.iter_mut().zip(dz) {
                    *db += dz;
                }
            }
        }
    }
}

impl<T: Scalar> Backward<T> {
    /// dzⁱ to write a cotangent to, for i from 1.
    pub(super) fn dz_mut(&mut self, layer: usize, entries: usize) -> &mut [T] {
        &mut self.dz[layer - 1][..entries]
    }

    /// dhⁱ to write a cotangent to, for i from 1.
    pub(super) fn dh_mut(&mut self, layer: usize, entries: usize) -> &mut [T] {
        &mut self.dh[layer - 1][..entries]
    }
}
