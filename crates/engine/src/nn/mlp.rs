//! The forward pass.
//!
//! ```text
//! zⁱ = hⁱ⁻¹ Wⁱᵀ + bⁱ        hⁱ = σ(zⁱ)        f = hᴸ
//! ```
//!
//! Every matrix is row-major, rows are samples. Buffers are made once for a number of rows and used again. Where a
//! layer is large, each thread computes some of its units: their product, and what follows while that is at hand.
#![allow(non_snake_case, reason = "matrices have the names of the mathematics")]

mod blocks;

use faer::{MatMut, MatRef, Par};

use super::product::{flops, is_small, min_rows, same_order};
use super::slices::{take, take_mut};
use super::threads::{Cut, each};
use super::{Activation, Architecture, Layer, Scalar};

/// Rows of at least this many numbers are finished one by one.
const LONG_ROW: usize = 64;

/// A network: its shape and its parameters, in the layout of [`Architecture`].
#[derive(Clone, Copy, Debug)]
pub struct Mlp<'a, T> {
    architecture: &'a Architecture,
    parameters: &'a [T],
}

/// Buffers of the forward pass, allocated for a maximum number of rows.
#[derive(Clone, Debug)]
pub struct ForwardBuffers<T> {
    /// x with padding rows, for batches smaller than the first layer's product needs.
    inputs: Vec<T>,
    /// zⁱ, padded rows × nᵢ.
    z: Vec<Vec<T>>,
    /// hⁱ, padded rows × nᵢ; empty for a linear layer, whose hⁱ is zⁱ.
    h: Vec<Vec<T>>,
}

/// The result of a forward pass, which only [`Mlp::forward`] creates.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a, T> {
    mlp: Mlp<'a, T>,
    rows: usize,
    inputs: &'a [T],
    buffers: &'a ForwardBuffers<T>,
}

/// The rows to allocate, so that every layer's product has its minimum.
fn padded_rows(architecture: &Architecture, rows: usize) -> usize {
    architecture
        .layers()
        .iter()
        .map(|layer| min_rows(layer.fan_in, layer.units))
        .fold(rows, usize::max)
}

/// The entries of a batch with the minimum of rows for the first layer's product; larger batches are read in place.
fn padded_inputs(architecture: &Architecture) -> usize {
    let first = &architecture.layers()[0];
    min_rows(first.fan_in, first.units) * first.fan_in
}

/// Buffers for no batch.
impl<T> Default for ForwardBuffers<T> {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            z: Vec::new(),
            h: Vec::new(),
        }
    }
}

impl<T: Scalar> ForwardBuffers<T> {
    /// The most bytes that [`Self::new`] allocates.
    pub fn bytes(architecture: &Architecture, rows: usize) -> usize {
        let per_row = 2 * architecture.units_per_sample() * size_of::<T>();
        let inputs = padded_inputs(architecture) * size_of::<T>();
        let padded = padded_rows(architecture, rows);
        padded.saturating_mul(per_row).saturating_add(inputs)
    }

    /// Buffers for batches of at most `rows` samples.
    pub fn new(architecture: &Architecture, rows: usize) -> Self {
        let padded = padded_rows(architecture, rows);
        let zeros = |columns: usize| vec![T::ZERO; padded * columns];
        let layers = architecture.layers();
        Self {
            inputs: vec![T::ZERO; padded_inputs(architecture)],
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

impl<'a, T: Scalar> Mlp<'a, T> {
    /// A network with these parameters, whose number has to match the architecture.
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

    /// The network's shape.
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

    pub(super) fn weight_matrix(&self, layer: usize) -> MatRef<'a, T> {
        let shape = &self.architecture.layers()[layer - 1];
        MatRef::from_row_major_slice(self.weights(layer), shape.units, shape.fan_in)
    }

    /// Computes every z and h for `inputs` (rows × n₀, row-major). The buffers have to hold at least `rows` rows. Each
    /// row of the result has the same bits alone and in any batch, for any `par`.
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
        for index in 0..self.architecture.depth() {
            let (layer, z, h) = self.layer(index, inputs, rows, buffers);
            layer.compute(z, h, par);
        }
        Trace {
            mlp: *self,
            rows,
            inputs,
            buffers,
        }
    }

    /// What the layer `index`, from 0, of a forward pass reads, and where it writes z (padded rows × n) and h (rows × n; empty
    /// for a linear layer).
    #[inline]
    fn layer<'b>(
        &self,
        index: usize,
        inputs: &'b [T],
        rows: usize,
        buffers: &'b mut ForwardBuffers<T>,
    ) -> (ForwardLayer<'b, T>, &'b mut [T], &'b mut [T])
    where
        'a: 'b,
    {
        let n0 = self.architecture.input_size();
        let layer = &self.architecture.layers()[index];
        let (n, k) = (layer.units, layer.fan_in);
        let padded = rows.max(min_rows(k, n));
        let (z_before, z_from) = buffers.z.split_at_mut(index);
        let (h_before, h_from) = buffers.h.split_at_mut(index);
        let h_before: &[T] = match index.checked_sub(1) {
            None if padded == rows => inputs,
            None => {
                buffers.inputs[..rows * n0].copy_from_slice(inputs);
                &buffers.inputs[..padded * k]
            }
            Some(below) if h_before[below].is_empty() => &z_before[below][..padded * k],
            Some(below) => &h_before[below][..padded * k],
        };
        let h = &mut h_from[0];
        let kept = if h.is_empty() { 0 } else { rows * n };
        let layer = ForwardLayer {
            layer,
            W: self.weights(index + 1),
            b: self.bias(index + 1),
            h_before,
            rows,
            padded,
        };
        (layer, &mut z_from[0][..padded * n], &mut h[..kept])
    }
}

impl<T: Scalar> Trace<'_, T> {
    /// m.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The network that computed it.
    pub fn mlp(&self) -> Mlp<'_, T> {
        self.mlp
    }

    /// zⁱ for i from 1, m × nᵢ.
    #[inline]
    pub fn z(&self, layer: usize) -> &[T] {
        &self.buffers.z[layer - 1][..self.entries(layer)]
    }

    /// hⁱ for i from 0, m × nᵢ; h⁰ = x.
    #[inline]
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
    #[inline]
    pub fn entries(&self, layer: usize) -> usize {
        self.rows * self.mlp.architecture.size(layer)
    }
}

/// A range of a layer's units: columns of z and h, and the parameters of these units.
struct UnitPiece<'a, T> {
    z: MatMut<'a, T>,
    h: MatMut<'a, T>,
    W: &'a [T],
    b: &'a [T],
}

/// The inputs of one layer in a forward pass.
#[derive(Clone, Copy)]
struct ForwardLayer<'a, T> {
    layer: &'a Layer,
    /// n × k.
    W: &'a [T],
    /// n, or none.
    b: &'a [T],
    /// padded × k.
    h_before: &'a [T],
    /// The rows of the batch.
    rows: usize,
    /// The rows to compute.
    padded: usize,
}

impl<T: Scalar> ForwardLayer<'_, T> {
    /// z (padded × n) and h (rows × n; empty for a linear layer).
    fn compute(&self, z: &mut [T], h: &mut [T], par: Par) {
        let (n, k, padded) = (self.layer.units, self.layer.fan_in, self.padded);
        if is_small(n, k) {
            T::small_forward(z, self.h_before, self.W, k);
            return self.finish_rows(z, h);
        }
        let cost = flops(padded, n, k);
        let units = Cut::new(n, cost, par, |n| same_order(padded, n, k));
        if !units.is_whole() {
            return self.compute_units(units, z, h);
        }
        let rows = Cut::new(padded, cost, par, |rows| rows >= min_rows(k, n));
        if rows.is_whole() || padded != self.rows {
            return self.compute_rows(z, h, self.h_before);
        }
        let (mut z, mut h, mut h_before) = (z, h, self.h_before);
        let pieces = rows
            .sizes()
            .map(|rows| {
                let kept = h.len().min(rows * n);
                (
                    take_mut(&mut z, rows * n),
                    take_mut(&mut h, kept),
                    take(&mut h_before, rows * k),
                )
            })
            .collect();
        each(pieces, |(z, h, h_before)| self.compute_rows(z, h, h_before));
    }

    /// All units of some rows.
    fn compute_rows(&self, z: &mut [T], h: &mut [T], h_before: &[T]) {
        let (n, k) = (self.layer.units, self.layer.fan_in);
        let rows = z.len() / n;
        T::product(
            MatMut::from_row_major_slice_mut(z, rows, n),
            MatRef::from_row_major_slice(h_before, rows, k),
            MatRef::from_row_major_slice(self.W, n, k).transpose(),
        );
        self.finish_rows(z, h);
    }

    /// A range of units for all rows, with a thread for each piece.
    fn compute_units(&self, units: Cut, z: &mut [T], h: &mut [T]) {
        each(self.unit_pieces(units, z, h), |piece| {
            self.compute_piece(piece);
        });
    }

    /// The layer, cut into pieces of units.
    fn unit_pieces<'p>(
        &'p self,
        units: Cut,
        z: &'p mut [T],
        h: &'p mut [T],
    ) -> Vec<UnitPiece<'p, T>> {
        let (n, k, padded) = (self.layer.units, self.layer.fan_in, self.padded);
        let mut z = MatMut::from_row_major_slice_mut(z, padded, n);
        let mut h = MatMut::from_row_major_slice_mut(h, h.len() / n, n);
        let (mut W, mut b) = (self.W, self.b);
        let mut pieces = Vec::new();
        for units in units.sizes() {
            let (z_units, z_rest) = z.split_at_col_mut(units);
            let (h_units, h_rest) = h.split_at_col_mut(units);
            (z, h) = (z_rest, h_rest);
            let biases = units.min(b.len());
            pieces.push(UnitPiece {
                z: z_units,
                h: h_units,
                W: take(&mut W, units * k),
                b: take(&mut b, biases),
            });
        }
        pieces
    }

    fn compute_piece(&self, piece: UnitPiece<'_, T>) {
        let UnitPiece { mut z, h, W, b } = piece;
        let h_before = MatRef::from_row_major_slice(self.h_before, self.padded, self.layer.fan_in);
        let W = MatRef::from_row_major_slice(W, z.ncols(), self.layer.fan_in);
        T::product(z.as_mut(), h_before, W.transpose());
        let mut h = rows_of(h);
        for z in rows_of(z).take(self.rows) {
            self.finish(z, h.next().unwrap_or_default(), b);
        }
    }

    /// z += b and h = σ(z) for all units of some rows: row by row if a row is long, while it is in the cache.
    fn finish_rows(&self, z: &mut [T], h: &mut [T]) {
        let n = self.layer.units;
        let kept = z.len().min(self.rows * n);
        let z = &mut z[..kept];
        if n >= LONG_ROW {
            let mut h = h.chunks_exact_mut(n);
            for z in z.chunks_exact_mut(n) {
                self.finish(z, h.next().unwrap_or_default(), self.b);
            }
            return;
        }
        if !self.b.is_empty() {
            T::add_to_rows(z, self.b);
        }
        self.finish(z, h, &[]);
    }

    /// z += b and h = σ(z), omitting an absent b or h.
    fn finish(&self, z: &mut [T], h: &mut [T], b: &[T]) {
        if !b.is_empty() {
            T::add_entries(z, b);
        }
        if !h.is_empty() {
            self.layer.activation.forward(z, h);
        }
    }
}

/// The rows of a piece of a row-major matrix.
pub(super) fn rows_of<'a, T>(matrix: MatMut<'a, T>) -> impl Iterator<Item = &'a mut [T]> {
    matrix.row_iter_mut().map(|row| {
        let row = row.try_as_row_major_mut();
        row.expect("columns lie side by side in a row-major matrix")
            .as_slice_mut()
    })
}
