//! The backward pass in plain loops, block by block: right, or with one of the known mistakes.

use std::ops::Range;

use backpropd_engine::nn::Layer;

use crate::grade::budget::{Budget, ELEMENTWISE};
use crate::grade::pass::{Gradients, Pass, Tensor, add_scaled, transposed};
use crate::grade::wrong::{BiasSum, Factor, Kinks, Start, Weights, Wrong};

/// A backward pass in progress: slopes, weights and the layer below, from the last layer down.
#[derive(Clone, Debug)]
pub(in crate::grade) struct Walk {
    wrong: Wrong,
    kinks: Kinks,
    tau: f64,
    /// From 1; `None` before the last one.
    layer: Option<usize>,
    phase: Phase,
    /// The next entry of dz, counted through the rows.
    at: usize,
    dh: Vec<f64>,
    dz: Vec<f64>,
    dw: Vec<f64>,
    /// dh of the layer below.
    below: Vec<f64>,
    /// The weights of a backward pass that uses wrong ones.
    other_weights: Option<Vec<f64>>,
    gradients: Gradients,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Slopes,
    Weights,
    Below,
}

impl Walk {
    /// The pass of right code, with the slopes of `kinks` within `tau` of a kink.
    pub(in crate::grade) fn new_right(kinks: Kinks, tau: f64) -> Self {
        Self::new(Wrong::default(), kinks, tau)
    }

    /// The pass of code with these mistakes, with the slopes of `kinks` within `tau` of a kink.
    pub(super) fn new(wrong: Wrong, kinks: Kinks, tau: f64) -> Self {
        Self {
            wrong,
            kinks,
            tau,
            layer: None,
            phase: Phase::Slopes,
            at: 0,
            dh: Vec::new(),
            dz: Vec::new(),
            dw: Vec::new(),
            below: Vec::new(),
            other_weights: None,
            gradients: Gradients {
                dz: Vec::new(),
                dh: Vec::new(),
                dx: Tensor::new(&[0], Vec::new()),
                weights: Vec::new(),
                biases: Vec::new(),
            },
        }
    }

    /// Continues through `pass`, which has to be the same in each call, while `budget` lasts; returns the gradients
    /// once, at the end.
    pub(in crate::grade) fn advance(
        &mut self,
        pass: &Pass,
        budget: &mut Budget,
    ) -> Option<Gradients> {
        let mut i = match self.layer {
            Some(layer) => layer,
            None => {
                budget.spend(pass.df.len().saturating_mul(ELEMENTWISE));
                self.dh = pass.start(&self.wrong);
                self.begin(pass, pass.architecture.depth())
            }
        };
        while i > 0 {
            let layer = &pass.architecture.layers()[i - 1];
            let pairs = pass.rows * layer.units;
            let cost = match self.phase {
                Phase::Slopes => ELEMENTWISE,
                Phase::Weights | Phase::Below => layer.fan_in,
            };
            let count = budget.take(pairs - self.at, cost);
            if count == 0 {
                return None;
            }
            let range = self.at..self.at + count;
            match self.phase {
                Phase::Slopes => {
                    let slope = self.wrong.slope(i);
                    let slopes = pass.slopes(i, slope, (self.kinks, self.tau), range.clone());
                    let dh = self.dh[range].iter().zip(slopes);
                    self.dz.extend(dh.map(|(dh, slope)| dh * slope));
                }
                Phase::Weights => {
                    pass.add_weight_gradient(i, (&self.dz, range), self.wrong.factor, &mut self.dw);
                }
                Phase::Below => {
                    let own = &pass.parameters[layer.weights.clone()];
                    let w = self.other_weights.as_deref().unwrap_or(own);
                    add_below(layer, (&self.dz, range), w, &mut self.below);
                }
            }
            self.at += count;
            if self.at == pairs {
                self.at = 0;
                i = self.next_phase(pass, i, budget);
            }
        }
        self.layer = Some(0);
        Some(self.finish(pass))
    }

    fn begin(&mut self, pass: &Pass, i: usize) -> usize {
        if i > 0 {
            let layer = &pass.architecture.layers()[i - 1];
            self.dz = Vec::with_capacity(pass.rows * layer.units);
            self.dw = vec![0.0; layer.units * layer.fan_in];
            self.below = vec![0.0; pass.rows * layer.fan_in];
        }
        self.phase = Phase::Slopes;
        self.layer = Some(i);
        i
    }

    /// Moves to the next layer and returns it; 0 after the first.
    fn next_phase(&mut self, pass: &Pass, i: usize, budget: &mut Budget) -> usize {
        match self.phase {
            Phase::Slopes => self.phase = Phase::Weights,
            Phase::Weights => {
                self.phase = Phase::Below;
                self.other_weights = pass.other_weights(i, &self.dw, self.wrong.weights);
                if let Some(w) = &self.other_weights {
                    budget.spend(w.len());
                }
            }
            Phase::Below => {
                let layer = &pass.architecture.layers()[i - 1];
                if self.wrong.weights == Weights::Dropped(i) {
                    self.drop_weights(layer);
                }
                budget.spend(self.dz.len());
                let db = layer
                    .has_bias()
                    .then(|| bias_gradient(&self.dz, layer.units, self.wrong.bias));
                let shape = [pass.rows, layer.units];
                let below = std::mem::take(&mut self.below);
                let dh = std::mem::replace(&mut self.dh, below);
                let gradients = &mut self.gradients;
                gradients.dh.push(Tensor::new(&shape, dh));
                let dz = std::mem::take(&mut self.dz);
                gradients.dz.push(Tensor::new(&shape, dz));
                let dw = std::mem::take(&mut self.dw);
                let shape = [layer.units, layer.fan_in];
                gradients.weights.push(Tensor::new(&shape, dw));
                gradients.biases.push(db);
                return self.begin(pass, i - 1);
            }
        }
        i
    }

    /// dh below is dz itself, which numpy broadcasts over the columns if there is one.
    fn drop_weights(&mut self, layer: &Layer) {
        if layer.units == layer.fan_in {
            self.below.clone_from(&self.dz);
        } else if layer.units == 1 {
            for (below, dz) in self.below.chunks_exact_mut(layer.fan_in).zip(&self.dz) {
                below.fill(*dz);
            }
        }
    }

    fn finish(&mut self, pass: &Pass) -> Gradients {
        let dx = std::mem::take(&mut self.dh);
        let empty = Self::new(Wrong::default(), Kinks::AsTheyAre, 0.0).gradients;
        let mut gradients = std::mem::replace(&mut self.gradients, empty);
        gradients.dx = Tensor::new(&[pass.rows, pass.architecture.input_size()], dx);
        gradients.dh.reverse();
        gradients.dz.reverse();
        gradients.weights.reverse();
        gradients.biases.reverse();
        if let Start::Sample { row, alone: true } = self.wrong.start {
            gradients.keep_row(row);
        }
        gradients
    }
}

impl Pass {
    /// dWⁱ += dzⁱᵀ hⁱ⁻¹, for a range of the entries of dzⁱ.
    fn add_weight_gradient(
        &self,
        i: usize,
        (dz, range): (&[f64], Range<usize>),
        factor: Factor,
        dw: &mut [f64],
    ) {
        let layer = &self.architecture.layers()[i - 1];
        let h = match factor {
            Factor::PreActivation if i > 1 => &self.z[i - 2],
            Factor::Of { layer, other } if layer == i => &self.h[other],
            Factor::Right
            | Factor::PreActivation
            | Factor::Of { .. }
            | Factor::Untransposed
            | Factor::Sums
            | Factor::SumAndMean => &self.h[i - 1],
        };
        let summed = match factor {
            Factor::Sums => Some(column_sums(h, layer.fan_in, 1.0)),
            Factor::SumAndMean => Some(column_sums(h, layer.fan_in, self.rows as f64)),
            _ => None,
        };
        let untransposed = factor == Factor::Untransposed && layer.units == self.rows;
        for at in range {
            let (k, j) = (at / layer.units, at % layer.units);
            let dz = dz[if untransposed {
                j * layer.units + k
            } else {
                at
            }];
            let dw = &mut dw[j * layer.fan_in..(j + 1) * layer.fan_in];
            let own = &h[k * layer.fan_in..(k + 1) * layer.fan_in];
            add_scaled(dw, dz, summed.as_deref().unwrap_or(own));
        }
    }

    /// The wrong weights that a mistaken pass uses in place of Wⁱ; `None` for Wⁱ itself.
    fn other_weights(&self, i: usize, dw: &[f64], weights: Weights) -> Option<Vec<f64>> {
        let layer = &self.architecture.layers()[i - 1];
        let square = layer.units == layer.fan_in;
        let own = &self.parameters[layer.weights.clone()];
        match weights {
            Weights::Transposed(at) if square && at.is_none_or(|at| at == i) => {
                Some(transposed(own, layer.units, layer.fan_in))
            }
            Weights::Updated { rate, at } if at.is_none_or(|at| at == i) => {
                let mut w = own.to_vec();
                add_scaled(&mut w, -rate, dw);
                Some(w)
            }
            Weights::Of { layer: at, other } if at == i => {
                let other = self.architecture.layers()[other - 1].weights.clone();
                Some(self.parameters[other].to_vec())
            }
            Weights::Right
            | Weights::Transposed(_)
            | Weights::Updated { .. }
            | Weights::Dropped(_)
            | Weights::Of { .. } => None,
        }
    }
}

/// dhⁱ⁻¹ += dzⁱ W, for a range of the entries of dzⁱ.
fn add_below(layer: &Layer, (dz, range): (&[f64], Range<usize>), w: &[f64], dh: &mut [f64]) {
    for at in range {
        let (k, j) = (at / layer.units, at % layer.units);
        let dh = &mut dh[k * layer.fan_in..(k + 1) * layer.fan_in];
        add_scaled(dh, dz[at], &w[j * layer.fan_in..(j + 1) * layer.fan_in]);
    }
}

/// The sums of the columns, divided by a number.
fn column_sums(h: &[f64], columns: usize, by: f64) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for row in h.chunks_exact(columns) {
        add_scaled(&mut sums, 1.0 / by, row);
    }
    sums
}

fn bias_gradient(dz: &[f64], units: usize, sum: BiasSum) -> Tensor {
    let samples = dz.chunks_exact(units);
    match sum {
        BiasSum::Missing => Tensor::new(&[samples.len(), units], dz.to_vec()),
        BiasSum::OverUnits => {
            let sums: Vec<f64> = samples.map(|dz| dz.iter().sum()).collect();
            Tensor::new(&[sums.len()], sums)
        }
        BiasSum::Right => {
            let mut db = vec![0.0; units];
            for dz in samples {
                add_scaled(&mut db, 1.0, dz);
            }
            Tensor::new(&[units], db)
        }
    }
}
