//! The backward pass.
//!
//! ```text
//! δ = ∂l/∂zᴸ.  For i = L … 1:  dWⁱ = dzⁱᵀ hⁱ⁻¹   dbⁱ = Σ_rows dzⁱ   dhⁱ⁻¹ = dzⁱ Wⁱ   dzⁱ⁻¹ = dhⁱ⁻¹ ⊙ σ′(zⁱ⁻¹)
//! ```
//!
//! Where a layer is large, each thread computes dWⁱ for some of its units, and for some units of the layer below what
//! is passed down to them. A training step takes each piece of the gradient as soon as it is known: [`Descent`].
#![allow(non_snake_case, reason = "matrices have the names of the mathematics")]

mod blocks;
mod layer;

use std::sync::atomic::{AtomicBool, Ordering};

use faer::Par;

use self::layer::{BackwardLayer, Down, Own, OwnDescent, sum_squares};
use super::mlp::Trace;
use super::optimizer::{Update, Updated};
use super::pauses::{Pauses, WALK};
use super::slices::{take, take_mut};
use super::{Activation, Architecture, Layer, Objective, Scalar, TargetsRef};

/// A gradient of this many numbers stays in the nearest cache, so a step uses it as a whole.
const FEW_PARAMETERS: usize = 4096;

/// The results of the backward pass.
#[derive(Clone, Debug)]
pub struct Backward<T> {
    /// dzⁱ, rows × nᵢ.
    dz: Vec<Vec<T>>,
    /// dhⁱ, rows × nᵢ; empty for a linear layer, whose dhⁱ is dzⁱ.
    dh: Vec<Vec<T>>,
    /// dx, rows × n₀; empty unless requested.
    dx: Vec<T>,
    /// dW¹, db¹, dW², …, in the layout of the parameters.
    parameters: Vec<T>,
    /// l_k, one per row.
    loss_per_sample: Vec<f64>,
}

/// Whether the backward pass computes dx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputGradient {
    /// Compute dx.
    Compute,
    /// Leave dx out, which saves a product the size of the first layer's.
    Skip,
}

/// What a training step does with the gradient.
#[derive(Debug)]
pub struct Descent<'a, T> {
    /// Receives the sum of squares of each unit's dW and db, for the units of all layers.
    pub squares: &'a mut [f64],
    /// The update of all parameters, if it does not need the norm of the whole gradient first.
    pub update: Option<Update<'a, T>>,
    /// Set if a number that was written is not finite.
    pub failed: &'a AtomicBool,
}

/// Buffers for no batch.
impl<T> Default for Backward<T> {
    fn default() -> Self {
        Self {
            dz: Vec::new(),
            dh: Vec::new(),
            dx: Vec::new(),
            parameters: Vec::new(),
            loss_per_sample: Vec::new(),
        }
    }
}

impl<T: Scalar> Backward<T> {
    /// The most bytes that [`Self::new`] allocates.
    pub fn bytes(architecture: &Architecture, rows: usize) -> usize {
        let per_row = 2 * architecture.units_per_sample() + architecture.input_size();
        rows.saturating_mul(per_row * size_of::<T>() + size_of::<f64>())
            .saturating_add(architecture.parameter_count() * size_of::<T>())
    }

    /// Buffers for batches of at most `rows` samples.
    pub fn new(architecture: &Architecture, rows: usize, inputs: InputGradient) -> Self {
        let zeros = |columns: usize| vec![T::ZERO; rows * columns];
        let layers = architecture.layers().iter();
        Self {
            dz: layers.clone().map(|layer| zeros(layer.units)).collect(),
            dh: layers
                .map(|layer| {
                    if layer.activation == Activation::Linear {
                        Vec::new()
                    } else {
                        zeros(layer.units)
                    }
                })
                .collect(),
            dx: match inputs {
                InputGradient::Compute => zeros(architecture.input_size()),
                InputGradient::Skip => Vec::new(),
            },
            parameters: vec![T::ZERO; architecture.parameter_count()],
            loss_per_sample: vec![0.0; rows],
        }
    }

    /// The gradients of all parameters, in their layout.
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
            Some(index) if self.dh[index].is_empty() => &self.dz[index][..entries],
            Some(index) => &self.dh[index][..entries],
        }
    }

    /// Whether the backward pass computes dx.
    pub fn has_input_gradient(&self) -> bool {
        !self.dx.is_empty()
    }

    /// l_k of the first `rows` samples.
    pub fn loss_per_sample(&self, rows: usize) -> &[f64] {
        &self.loss_per_sample[..rows]
    }

    /// dzⁱ to write a cotangent to, for i from 1.
    pub(super) fn dz_mut(&mut self, layer: usize, entries: usize) -> &mut [T] {
        &mut self.dz[layer - 1][..entries]
    }

    /// dhⁱ to write a cotangent to, for i from 1.
    pub(super) fn dh_mut(&mut self, layer: usize, entries: usize) -> &mut [T] {
        let index = layer - 1;
        if self.dh[index].is_empty() {
            &mut self.dz[index][..entries]
        } else {
            &mut self.dh[index][..entries]
        }
    }
}

impl<T: Scalar> Trace<'_, T> {
    /// Computes the loss and its gradient with respect to everything, and returns the loss. `backward` has to hold at
    /// least as many rows; dx is computed if it was allocated.
    pub fn backward(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        par: Par,
    ) -> f64 {
        let loss = self.loss(objective, targets, backward, par);
        self.pull_back_h(self.mlp().architecture().depth(), backward, par, None);
        loss
    }

    /// [`Self::backward`] combined with a training step.
    pub fn descend(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        par: Par,
        descent: Descent<'_, T>,
    ) -> f64 {
        let loss = self.loss(objective, targets, backward, par);
        let architecture = self.mlp().architecture();
        let depth = architecture.depth();
        if architecture.parameter_count() <= FEW_PARAMETERS {
            self.pull_back_h(depth, backward, par, None);
            descent.take_gradient(architecture, &backward.parameters);
        } else {
            self.pull_back_h(depth, backward, par, Some(descent));
        }
        loss
    }

    /// Computes the loss alone, with the samples' losses and ∂l/∂f = dhᴸ.
    pub fn loss(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        par: Par,
    ) -> f64 {
        let depth = self.mlp().architecture().depth();
        let entries = self.entries(depth);
        let mut losses = std::mem::take(&mut backward.loss_per_sample);
        let per_sample = &mut losses[..self.rows()];
        let df = backward.dh_mut(depth, entries);
        let loss = objective.evaluate(self.outputs(), targets, per_sample, df, par);
        backward.loss_per_sample = losses;
        loss
    }

    /// The vector–Jacobian product from hⁱ, i from 1: with ∂A/∂hⁱ in `dh(i)`, fills in ∂A/∂ of everything below.
    pub(super) fn pull_back_h(
        &self,
        layer: usize,
        backward: &mut Backward<T>,
        par: Par,
        descent: Option<Descent<'_, T>>,
    ) {
        let dh = &backward.dh[layer - 1];
        if !dh.is_empty() {
            let entries = self.entries(layer);
            let architecture = self.mlp().architecture();
            architecture.layers()[layer - 1].activation.backward(
                self.z(layer),
                &dh[..entries],
                &mut backward.dz[layer - 1][..entries],
                architecture.relu_at_zero(),
            );
        }
        self.pull_back_z(layer, backward, par, descent);
    }

    /// The vector–Jacobian product from zⁱ, i from 1: with ∂A/∂zⁱ in `dz(i)`, fills in ∂A/∂ of everything below.
    pub(super) fn pull_back_z(
        &self,
        layer: usize,
        backward: &mut Backward<T>,
        par: Par,
        mut descent: Option<Descent<'_, T>>,
    ) {
        for i in (1..=layer).rev() {
            let (layer, own, down) = self.layer_below(i, backward, &mut descent);
            layer.compute(own, down, par);
        }
    }

    /// The inputs and outputs of layer i of the backward pass: the gradient of its parameters, and what it passes down
    /// if anything below needs that.
    #[inline]
    fn layer_below<'b, 'd: 'b>(
        &'b self,
        i: usize,
        backward: &'b mut Backward<T>,
        descent: &mut Option<Descent<'d, T>>,
    ) -> (BackwardLayer<'b, T>, Own<'b, T>, Option<Down<'b, T>>) {
        let mlp = self.mlp();
        let architecture = mlp.architecture();
        let shape = &architecture.layers()[i - 1];
        let below = self.entries(i - 1);
        let (dz_below, dz) = backward.dz.split_at_mut(i - 1);
        let down = match i.checked_sub(2) {
            None if backward.dx.is_empty() => None,
            None => Some(Down {
                dh: &mut backward.dx[..below],
                dz: &mut [],
                z: &[],
                activation: Activation::Linear,
                at_zero: architecture.relu_at_zero(),
            }),
            Some(index) => {
                let dz = &mut dz_below[index][..below];
                let dh = &mut backward.dh[index];
                let (dh, dz) = if dh.is_empty() {
                    (dz, &mut [][..])
                } else {
                    (&mut dh[..below], dz)
                };
                let z = if dz.is_empty() { &[] } else { self.z(i - 1) };
                Some(Down {
                    dh,
                    dz,
                    z,
                    activation: architecture.layers()[index].activation,
                    at_zero: architecture.relu_at_zero(),
                })
            }
        };
        let (dW, db) = backward.parameters[shape.weights.start..shape.bias.end]
            .split_at_mut(shape.weights.len());
        let own = Own {
            from: 0,
            dW,
            db,
            descent: descent.as_mut().map(|descent| descent.take_last(shape)),
        };
        let layer = BackwardLayer {
            shape,
            mlp,
            index: i,
            rows: self.rows(),
            dz: &dz[0][..self.entries(i)],
            h_before: self.h(i - 1),
        };
        (layer, own, down)
    }
}

/// The sum of squares of each unit's dW and db, for the units of all layers: what [`norm`](super::norm()) adds up. The
/// gradient has the layout of the parameters.
pub async fn squares_in_blocks<T: Scalar>(
    architecture: &Architecture,
    gradient: &[T],
    pauses: &impl Pauses,
) -> Vec<f64> {
    let mut squares = vec![0.0; architecture.units_per_sample()];
    let mut rest = &mut squares[..];
    for layer in architecture.layers() {
        let mut dW = &gradient[layer.weights.clone()];
        let mut db = &gradient[layer.bias.clone()];
        let units = (WALK / layer.fan_in.max(1)).max(1);
        let mut left = layer.units;
        while left > 0 {
            let units = units.min(left);
            let weights = take(&mut dW, units * layer.fan_in);
            // Empty for a layer without a bias.
            let bias = units.min(db.len());
            let bias = take(&mut db, bias);
            sum_squares(take_mut(&mut rest, units), weights, bias, layer.fan_in);
            left -= units;
            pauses.pause().await;
        }
    }
    squares
}

impl<'a, T: Scalar> Descent<'a, T> {
    /// Uses the whole gradient, in the layout of the parameters.
    fn take_gradient(self, architecture: &Architecture, gradient: &[T]) {
        let mut squares = self.squares;
        for layer in architecture.layers() {
            let (dW, db) = (
                &gradient[layer.weights.clone()],
                &gradient[layer.bias.clone()],
            );
            sum_squares(take_mut(&mut squares, layer.units), dW, db, layer.fan_in);
        }
        if let Some(update) = self.update
            && update.apply(gradient) == Updated::NonFinite
        {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// Splits off the part of the last layer, `layer`.
    fn take_last(&mut self, layer: &Layer) -> OwnDescent<'a, T> {
        let before = self.squares.len() - layer.units;
        let (head, squares) = std::mem::take(&mut self.squares).split_at_mut(before);
        self.squares = head;
        let update = self.update.as_mut().map(|update| {
            let mut weights = update.take_after(layer.weights.start);
            let bias = weights.take_after(layer.weights.len());
            (weights, bias)
        });
        OwnDescent {
            squares,
            update,
            failed: self.failed,
        }
    }
}
