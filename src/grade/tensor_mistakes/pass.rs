//! A forward pass, and the gradients that the engine computes from it.

use faer::Par;

use super::super::tensors::Quantity;
use super::backward::{Kinks, Wrong, add_scaled};
use crate::nn::{
    Architecture, Backward, BatchRef, ForwardBuffers, InputGradient, Mlp, Objective, TargetsRef,
};

/// Numbers with their shape.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::grade) struct Tensor {
    pub(in crate::grade) shape: Vec<usize>,
    pub(in crate::grade) values: Vec<f64>,
}

/// The gradient of everything.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::grade) struct Gradients {
    pub(super) dz: Vec<Tensor>,
    pub(super) dh: Vec<Tensor>,
    pub(super) dx: Tensor,
    pub(super) weights: Vec<Tensor>,
    pub(super) biases: Vec<Option<Tensor>>,
}

/// A forward pass with all that the backward ones need.
#[derive(Clone, Debug)]
pub(in crate::grade) struct Pass {
    pub(in crate::grade) architecture: Architecture,
    pub(super) parameters: Vec<f64>,
    pub(in crate::grade) objective: Objective,
    /// m.
    pub(in crate::grade) rows: usize,
    /// y, one-hot where there were labels.
    pub(super) targets: Vec<f64>,
    /// z¹, z², ….
    pub(super) z: Vec<Vec<f64>>,
    /// x, h¹, h², ….
    pub(super) h: Vec<Vec<f64>>,
    pub(super) df: Vec<f64>,
}

fn dense(targets: TargetsRef<'_, f64>, n: usize) -> Vec<f64> {
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
    /// That of one quantity, where the network has it.
    pub(in crate::grade) fn get(&self, quantity: Quantity) -> Option<&Tensor> {
        match quantity {
            Quantity::Weights(i) => self.weights.get(i.checked_sub(1)?),
            Quantity::Bias(i) => self.biases.get(i.checked_sub(1)?)?.as_ref(),
            Quantity::PreActivation(i) => self.dz.get(i.checked_sub(1)?),
            Quantity::Activation(i) => self.dh.get(i.checked_sub(1)?),
            Quantity::Inputs => Some(&self.dx),
            Quantity::Delta => self.dz.last(),
        }
    }

    /// What is left where the gradients of the parameters were added to those of an earlier batch.
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
    /// Computes the forward pass and the right gradients with the engine. The batch fits the architecture and has a
    /// sample.
    pub(in crate::grade) fn new(
        architecture: &Architecture,
        parameters: &[f64],
        objective: Objective,
        batch: BatchRef<'_, f64>,
    ) -> (Self, Gradients) {
        let (rows, depth) = (batch.rows, architecture.depth());
        let mut buffers = ForwardBuffers::new(architecture, rows);
        let mut engine = Backward::new(architecture, rows, InputGradient::Compute);
        let mlp = Mlp::new(architecture, parameters);
        let trace = mlp.forward(batch.inputs, rows, &mut buffers, Par::Seq);
        trace.backward(objective, batch.targets, &mut engine, Par::Seq);

        let tensor =
            |i: usize, values: &[f64]| Tensor::new(&[rows, architecture.size(i)], values.to_vec());
        let of_layers = |of: &dyn Fn(usize, usize) -> Vec<f64>| -> Vec<Tensor> {
            (1..=depth)
                .map(|i| tensor(i, &of(i, trace.entries(i))))
                .collect()
        };
        let gradients = Gradients {
            dz: of_layers(&|i, entries| engine.dz(i, entries).to_vec()),
            dh: of_layers(&|i, entries| engine.dh(i, entries).to_vec()),
            dx: tensor(0, engine.dh(0, trace.entries(0))),
            weights: architecture
                .layers()
                .iter()
                .map(|layer| {
                    let values = engine.parameters()[layer.weights.clone()].to_vec();
                    Tensor::new(&[layer.units, layer.fan_in], values)
                })
                .collect(),
            biases: architecture
                .layers()
                .iter()
                .map(|layer| {
                    let values = engine.parameters()[layer.bias.clone()].to_vec();
                    layer
                        .has_bias()
                        .then(|| Tensor::new(&[layer.units], values))
                })
                .collect(),
        };
        let pass = Self {
            architecture: architecture.clone(),
            parameters: parameters.to_vec(),
            objective,
            rows,
            targets: dense(batch.targets, architecture.output_size()),
            z: (1..=depth).map(|i| trace.z(i).to_vec()).collect(),
            h: (0..=depth).map(|i| trace.h(i).to_vec()).collect(),
            df: engine.dh(depth, trace.entries(depth)).to_vec(),
        };
        (pass, gradients)
    }

    /// The right gradients after one step of gradient descent.
    pub(super) fn after_step(&self, rate: f64, gradients: &Gradients) -> Gradients {
        let mut parameters = self.parameters.clone();
        let layers = self.architecture.layers().iter();
        for ((layer, dw), db) in layers.zip(&gradients.weights).zip(&gradients.biases) {
            add_scaled(&mut parameters[layer.weights.clone()], -rate, &dw.values);
            if let Some(db) = db {
                add_scaled(&mut parameters[layer.bias.clone()], -rate, &db.values);
            }
        }
        let batch = BatchRef {
            inputs: &self.h[0],
            targets: TargetsRef::Values(&self.targets),
            rows: self.rows,
        };
        Self::new(&self.architecture, &parameters, self.objective, batch).1
    }

    /// Whether a unit lies so near its kink that two slopes are right.
    pub(in crate::grade) fn has_kinks(&self, tau: f64) -> bool {
        let mut layers = self.architecture.layers().iter().zip(&self.z);
        layers.any(|(layer, z)| layer.activation.has_kink() && z.iter().any(|z| z.abs() <= tau))
    }

    /// The right gradients, with the slopes of `kinks` within `tau` of a kink.
    pub(in crate::grade) fn right(&self, kinks: Kinks, tau: f64) -> Gradients {
        self.backward(&Wrong::default(), kinks, tau)
    }

    /// Multiplications of one backward pass, about.
    pub(in crate::grade) fn work(&self) -> usize {
        2 * self.rows * self.parameters.len()
    }
}

/// The transpose of a matrix of this many rows and columns.
pub(in crate::grade) fn transposed(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let entry = |at: usize| values[at % rows * columns + at / rows];
    (0..values.len()).map(entry).collect()
}
