//! Forward and backward passes, block by block.

use std::ops::Range;

use backpropd_engine::nn::{Architecture, Objective};

use super::walk::Walk;
use crate::grade::budget::{Budget, ELEMENTWISE};
use crate::grade::pass::{Gradients, Pass, add_scaled};
use crate::grade::wrong::{Kinks, Wrong};

/// A forward pass in progress.
#[derive(Clone, Debug)]
struct Forward {
    pass: Pass,
    /// From 1.
    layer: usize,
    /// The next entry of z, counted through the rows.
    at: usize,
}

/// A forward pass and the right gradients of it, in progress.
#[derive(Clone, Debug)]
pub(in crate::grade) struct FullPass(Stage);

#[derive(Clone, Debug)]
enum Stage {
    Forward(Box<Forward>),
    Backward(Box<(Pass, Walk)>),
    Done,
}

impl FullPass {
    /// Inputs and targets (as numbers: one-hot where there were labels) have `rows` rows, at least one, and fit the
    /// architecture, as the parameters do.
    pub(in crate::grade) fn new(
        architecture: &Architecture,
        parameters: Vec<f64>,
        objective: Objective,
        (inputs, targets, rows): (Vec<f64>, Vec<f64>, usize),
    ) -> Self {
        let pass = Pass {
            architecture: architecture.clone(),
            parameters,
            objective,
            rows,
            targets,
            z: Vec::with_capacity(architecture.depth()),
            h: vec![inputs],
            df: Vec::new(),
        };
        Self(Stage::Forward(Box::new(Forward {
            pass,
            layer: 1,
            at: 0,
        })))
    }

    /// The pass of `pass` on its parameters after one step of gradient descent.
    pub(super) fn after_step(pass: &Pass, rate: f64, gradients: &Gradients) -> Self {
        let mut parameters = pass.parameters.clone();
        let layers = pass.architecture.layers().iter();
        for ((layer, dw), db) in layers.zip(&gradients.weights).zip(&gradients.biases) {
            add_scaled(&mut parameters[layer.weights.clone()], -rate, &dw.values);
            if let Some(db) = db {
                add_scaled(&mut parameters[layer.bias.clone()], -rate, &db.values);
            }
        }
        let batch = (pass.h[0].clone(), pass.targets.clone(), pass.rows);
        Self::new(&pass.architecture, parameters, pass.objective, batch)
    }

    /// Continues while `budget` lasts; returns the pass and its gradients once, at the end.
    pub(in crate::grade) fn advance(&mut self, budget: &mut Budget) -> Option<(Pass, Gradients)> {
        if let Stage::Forward(forward) = &mut self.0
            && !forward.advance(budget)
        {
            return None;
        }
        self.0 = match std::mem::replace(&mut self.0, Stage::Done) {
            Stage::Forward(forward) => {
                let pass = forward.finish(budget);
                let walk = Walk::new(Wrong::default(), Kinks::AsTheyAre, 0.0);
                Stage::Backward(Box::new((pass, walk)))
            }
            other => other,
        };
        let Stage::Backward(under_way) = &mut self.0 else {
            return None;
        };
        let (pass, walk) = &mut **under_way;
        let gradients = walk.advance(pass, budget)?;
        match std::mem::replace(&mut self.0, Stage::Done) {
            Stage::Backward(under_way) => Some((under_way.0, gradients)),
            Stage::Forward(_) | Stage::Done => None,
        }
    }

    /// The same in one go.
    #[cfg(test)]
    pub(in crate::grade) fn compute(mut self) -> (Pass, Gradients) {
        let mut budget = Budget::default();
        loop {
            budget.refill();
            if let Some(done) = self.advance(&mut budget) {
                return done;
            }
        }
    }
}

impl Forward {
    /// Whether every z and h is computed.
    fn advance(&mut self, budget: &mut Budget) -> bool {
        while self.layer <= self.pass.architecture.depth() {
            let layer = &self.pass.architecture.layers()[self.layer - 1];
            let pairs = self.pass.rows * layer.units;
            if self.at == 0 && self.pass.z.len() < self.layer {
                self.pass.z.push(vec![0.0; pairs]);
                self.pass.h.push(vec![0.0; pairs]);
            }
            let count = budget.take(pairs - self.at, layer.fan_in + ELEMENTWISE);
            if count == 0 {
                return false;
            }
            self.pass.fill(self.layer, self.at..self.at + count);
            self.at += count;
            if self.at == pairs {
                (self.layer, self.at) = (self.layer + 1, 0);
            }
        }
        true
    }

    fn finish(self, budget: &mut Budget) -> Pass {
        let mut pass = self.pass;
        budget.spend(pass.targets.len().saturating_mul(ELEMENTWISE));
        // `output_gradient` takes its size from it.
        pass.df = vec![0.0; pass.targets.len()];
        pass.df = pass.output_gradient(pass.objective.loss, &pass.targets);
        pass
    }
}

impl Pass {
    /// z = h Wᵀ + b and h = σ(z) of a layer, for a range of their entries.
    fn fill(&mut self, i: usize, range: Range<usize>) {
        let layer = &self.architecture.layers()[i - 1];
        let weights = &self.parameters[layer.weights.clone()];
        let bias = &self.parameters[layer.bias.clone()];
        let (below, own) = self.h.split_at_mut(i);
        let inputs = &below[i - 1];
        let z = &mut self.z[i - 1][range.clone()];
        for (z, at) in z.iter_mut().zip(range.clone()) {
            let (k, j) = (at / layer.units, at % layer.units);
            let h = &inputs[k * layer.fan_in..(k + 1) * layer.fan_in];
            let w = &weights[j * layer.fan_in..(j + 1) * layer.fan_in];
            *z = dot(h, w) + bias.get(j).copied().unwrap_or(0.0);
        }
        layer.activation.forward(z, &mut own[0][range]);
    }
}

/// ⟨a, b⟩, in eight sums that a processor can add up side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, rest_of_a) = a.as_chunks::<8>();
    let (b, rest_of_b) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f64 = rest_of_a.iter().zip(rest_of_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use faer::Par;

    use super::*;
    use backpropd_engine::nn::{
        Activation, ArchitectureLimits, Backward, ForwardBuffers, Init, InputGradient, LayerSpec,
        Loss, Mlp, Reduction, ReluAtZero, TargetsRef,
    };

    fn numbers(count: usize, seed: f64) -> Vec<f64> {
        let value = |at: usize| ((at as f64 + 1.0) * 12.9898 + seed * 78.233).sin() * 43_758.545;
        (0..count)
            .map(|at| 2.0 * (value(at) - value(at).floor()) - 1.0)
            .collect()
    }

    fn assert_near(own: &[f64], engine: &[f64], what: &str) {
        assert_eq!(own.len(), engine.len(), "{what}");
        let norm = engine.iter().fold(1e-3_f64, |top, v| top.max(v.abs()));
        for (own, engine) in own.iter().zip(engine) {
            assert!(
                (own - engine).abs() <= 1e-12 * norm,
                "{what}: {own} {engine}"
            );
        }
    }

    /// The loops here know nothing of the engine's, and come to the same numbers.
    #[test]
    fn a_pass_agrees_with_the_engine() {
        let limits = ArchitectureLimits {
            layers: 4,
            units: 99,
            parameters: 99_999,
        };
        let hidden = [
            Activation::Linear,
            Activation::Relu,
            Activation::LeakyRelu { slope: 0.1 },
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Gelu,
            Activation::Silu,
        ];
        for (index, &activation) in hidden.iter().enumerate() {
            let spec = |units, activation, bias| LayerSpec {
                units,
                activation,
                bias,
                init: Init::Zeros,
            };
            let layers = [
                spec(13, activation, true),
                spec(9, activation, false),
                spec(3, Activation::Linear, true),
            ];
            let architecture =
                Architecture::new(10, &layers, ReluAtZero::One, &limits).expect("small");
            let objective = Objective {
                loss: [Loss::HalfSquaredError, Loss::MeanSquaredError][index % 2],
                reduction: [Reduction::Mean, Reduction::Sum][index / 2 % 2],
            };
            let rows = 7;
            let parameters = numbers(architecture.parameter_count(), index as f64);
            let (x, y) = (numbers(rows * 10, 3.0), numbers(rows * 3, 5.0));
            let own = FullPass::new(
                &architecture,
                parameters.clone(),
                objective,
                (x.clone(), y.clone(), rows),
            );
            let (pass, gradients) = own.compute();

            let mut buffers = ForwardBuffers::new(&architecture, rows);
            let mut engine = Backward::new(&architecture, rows, InputGradient::Compute);
            let mlp = Mlp::new(&architecture, &parameters);
            let trace = mlp.forward(&x, rows, &mut buffers, Par::Seq);
            trace.backward(objective, TargetsRef::Values(&y), &mut engine, Par::Seq);
            for (i, layer) in (1..).zip(architecture.layers()) {
                let what = format!("{activation:?} {objective:?} layer {i}");
                let entries = trace.entries(i);
                assert_near(&pass.z[i - 1], trace.z(i), &what);
                assert_near(&pass.h[i], trace.h(i), &what);
                assert_near(&gradients.dz[i - 1].values, engine.dz(i, entries), &what);
                assert_near(&gradients.dh[i - 1].values, engine.dh(i, entries), &what);
                let dw = &engine.parameters()[layer.weights.clone()];
                assert_near(&gradients.weights[i - 1].values, dw, &what);
                let db = gradients.biases[i - 1]
                    .as_ref()
                    .map_or(&[][..], |db| &db.values);
                assert_near(db, &engine.parameters()[layer.bias.clone()], &what);
            }
            assert_near(&gradients.dx.values, engine.dh(0, trace.entries(0)), "dx");
        }
    }

    #[test]
    fn a_large_pass_takes_many_blocks_and_comes_to_the_same_bits() {
        let limits = ArchitectureLimits {
            layers: 2,
            units: 999,
            parameters: 999_999,
        };
        let layer = |units| LayerSpec {
            units,
            activation: Activation::Tanh,
            bias: true,
            init: Init::Zeros,
        };
        let architecture =
            Architecture::new(300, &[layer(400), layer(200)], ReluAtZero::One, &limits)
                .expect("small");
        let objective = Objective {
            loss: Loss::HalfSquaredError,
            reduction: Reduction::Mean,
        };
        let rows = 11;
        let new = || {
            let parameters = numbers(architecture.parameter_count(), 1.0);
            let batch = (numbers(rows * 300, 2.0), numbers(rows * 200, 3.0), rows);
            FullPass::new(&architecture, parameters, objective, batch)
        };
        let (mut cut, mut budget, mut blocks) = (new(), Budget::default(), 0);
        let done = loop {
            budget.refill();
            blocks += 1;
            if let Some(done) = cut.advance(&mut budget) {
                break done;
            }
        };
        assert!(blocks > 10, "{blocks}");
        assert_eq!(done.1, new().compute().1);
    }
}
