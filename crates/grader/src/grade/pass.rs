//! The numbers of a forward pass, and gradients.

use backpropd_engine::nn::{Architecture, Objective, TargetsRef};

use super::Quantity;
use super::budget::ELEMENTWISE;

/// Numbers with their shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// The gradients of all quantities.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gradients {
    pub(super) dz: Vec<Tensor>,
    pub(super) dh: Vec<Tensor>,
    pub(super) dx: Tensor,
    pub(super) weights: Vec<Tensor>,
    pub(super) biases: Vec<Option<Tensor>>,
}

/// A forward pass with everything that backward passes need.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) architecture: Architecture,
    pub(super) parameters: Vec<f64>,
    pub(super) objective: Objective,
    /// m.
    pub(super) rows: usize,
    /// y, one-hot if the batch has labels.
    pub(super) targets: Vec<f64>,
    /// z¹, z², ….
    pub(super) z: Vec<Vec<f64>>,
    /// x, h¹, h², ….
    pub(super) h: Vec<Vec<f64>>,
    /// ∂l/∂f.
    pub(super) df: Vec<f64>,
}

/// Targets as numbers: labels become one-hot rows, or 0 and 1 for a single output.
pub(super) fn dense(targets: TargetsRef<'_, f64>, n: usize) -> Vec<f64> {
    match targets {
        TargetsRef::Values(values) => values.to_vec(),
        TargetsRef::Labels(labels) if n == 1 => labels.iter().map(|&y| f64::from(y)).collect(),
        TargetsRef::Labels(labels) => {
            let one_hot =
                |&class: &u32| (0..n).map(move |j| f64::from(u8::from(j == class as usize)));
            labels.iter().flat_map(one_hot).collect()
        }
    }
}

impl Tensor {
    pub(super) fn new(shape: &[usize], values: Vec<f64>) -> Self {
        Self {
            shape: shape.to_vec(),
            values,
        }
    }

    fn row(&self, row: usize) -> Self {
        let columns = self.shape.last().copied().unwrap_or(1);
        Self::new(
            &[1, columns],
            self.values[row * columns..(row + 1) * columns].to_vec(),
        )
    }
}

impl Gradients {
    /// The gradient of one quantity, if the network has it.
    pub(super) fn get(&self, quantity: Quantity) -> Option<&Tensor> {
        match quantity {
            Quantity::Weights(i) => self.weights.get(i.checked_sub(1)?),
            Quantity::Bias(i) => self.biases.get(i.checked_sub(1)?)?.as_ref(),
            Quantity::PreActivation(i) => self.dz.get(i.checked_sub(1)?),
            Quantity::Activation(i) => self.dh.get(i.checked_sub(1)?),
            Quantity::Inputs => Some(&self.dx),
            Quantity::Delta => self.dz.last(),
        }
    }

    /// The remainder if the gradients of the parameters were added to those of an earlier batch.
    pub(super) fn added_to(&self, earlier: &Self) -> Self {
        let add = |to: &mut Tensor, from: &Tensor| add_scaled(&mut to.values, 1.0, &from.values);
        let mut sum = self.clone();
        for (to, from) in sum.weights.iter_mut().zip(&earlier.weights) {
            add(to, from);
        }
        for (to, from) in sum.biases.iter_mut().zip(&earlier.biases) {
            if let (Some(to), Some(from)) = (to, from) {
                add(to, from);
            }
        }
        sum
    }

    pub(super) fn keep_row(&mut self, row: usize) {
        for tensor in self.dz.iter_mut().chain(&mut self.dh).chain([&mut self.dx]) {
            *tensor = tensor.row(row);
        }
    }
}

impl Pass {
    /// Whether a unit is so near its kink that two slopes are right.
    pub(super) fn has_kinks(&self, tau: f64) -> bool {
        let mut layers = self.architecture.layers().iter().zip(&self.z);
        layers.any(|(layer, z)| layer.activation.has_kink() && z.iter().any(|z| z.abs() <= tau))
    }

    /// Approximate multiplications of one backward pass.
    pub(super) fn work(&self) -> usize {
        let entries = self.rows * self.architecture.units_per_sample();
        2 * self.rows * self.parameters.len() + ELEMENTWISE * entries
    }
}

/// The transpose of a matrix of this many rows and columns.
pub(super) fn transposed(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let column = |j: usize| (0..rows).map(move |i| values[i * columns + j]);
    (0..columns).flat_map(column).collect()
}

/// to += scale·from.
pub(super) fn add_scaled(to: &mut [f64], scale: f64, from: &[f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += scale * from;
    }
}
