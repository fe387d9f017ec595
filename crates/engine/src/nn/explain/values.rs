//! What the parts of a definition are worth, in the pass that they belong to.

use super::super::smooth::{Gelu, Sigmoid, Silu, Smooth as _, Tanh};
use super::super::{Activation, Quantity, Scalar};
use super::Entry;
use super::definition::{Part, Source};

impl<T: Scalar> Source<'_, T> {
    /// The product of these parts: in `f64`, then rounded to the type of the model.
    pub(super) fn product(&self, parts: &[Part]) -> T {
        let factors = parts.iter().map(|&part| self.value(part));
        T::from_f64(factors.product())
    }

    pub(super) fn value(&self, part: Part) -> f64 {
        match part {
            Part::Entry(own) => self.entry(own).to_f64(),
            Part::Mask(z) => {
                let passes = self.architecture.relu_at_zero().passes(self.entry(z));
                f64::from(u8::from(passes))
            }
            Part::Slope(z) => self.slope(z),
            Part::Activation(z) => self
                .entry(Entry {
                    quantity: Quantity::Activation,
                    ..z
                })
                .to_f64(),
            Part::Residual(output) => self.residual(output).to_f64(),
            Part::Probability(output) => self.probability(output).to_f64(),
            Part::Scale => {
                let (rows, n) = (self.pass.trace.rows(), self.architecture.output_size());
                T::from_f64(self.objective.gradient_scale(rows, n)).to_f64()
            }
            Part::MinusOne => -1.0,
        }
    }

    fn entry(&self, own: Entry) -> T {
        let n = self.architecture.output_size();
        if own.quantity == Quantity::Targets {
            return self.pass.targets.entry(own.row, own.column, n);
        }
        let columns = match own.quantity {
            Quantity::Targets | Quantity::Delta => n,
            Quantity::SampleLoss | Quantity::Bias | Quantity::BiasGradient => 1,
            Quantity::Inputs | Quantity::InputsGradient => self.architecture.input_size(),
            Quantity::PreActivation
            | Quantity::Activation
            | Quantity::PreActivationGradient
            | Quantity::ActivationGradient => self.architecture.size(own.layer),
            Quantity::Weights | Quantity::WeightsGradient => self.architecture.size(own.layer - 1),
        };
        let entries = self.pass.borrowed(own.quantity, own.layer);
        let entries = entries.expect("the pass computed what an entry of it names");
        entries[own.row * columns + own.column]
    }

    fn slope(&self, z: Entry) -> f64 {
        let value = self.entry(z);
        match self.activation(z.layer) {
            Activation::Linear => 1.0,
            Activation::Relu | Activation::LeakyRelu { .. }
                if self.architecture.relu_at_zero().passes(value) =>
            {
                1.0
            }
            Activation::Relu => 0.0,
            Activation::LeakyRelu { slope } => T::from_f64(slope).to_f64(),
            Activation::Sigmoid => Sigmoid::slope(value.to_f64()),
            Activation::Tanh => Tanh::slope(value.to_f64()),
            Activation::Gelu => Gelu::slope(value.to_f64()),
            Activation::Silu => Silu::slope(value.to_f64()),
        }
    }

    /// The outputs of a sample.
    fn outputs(&self, sample: usize) -> &[T] {
        let n = self.architecture.output_size();
        &self.pass.trace.outputs()[sample * n..(sample + 1) * n]
    }

    /// By the loss itself, which does not subtract probabilities from targets where they are nearly equal.
    fn residual(&self, output: Entry) -> T {
        let (n, sample) = (self.architecture.output_size(), output.row);
        let mut row = self.residuals.borrow_mut();
        if row.sample != Some(sample) {
            let mut targets = self.pass.targets;
            targets.take_rows(sample, n);
            let targets = targets.take_rows(1, n);
            row.entries.resize(n, T::ZERO);
            T::evaluate(
                self.objective,
                self.outputs(sample),
                targets,
                &mut [0.0],
                &mut row.entries,
            );
            row.sample = Some(sample);
        }
        row.entries[output.column]
    }

    fn probability(&self, output: Entry) -> T {
        let sample = output.row;
        let mut row = self.probabilities.borrow_mut();
        if row.sample != Some(sample) {
            row.entries.clear();
            row.entries.extend_from_slice(self.outputs(sample));
            self.objective.probabilities(&mut row.entries);
            row.sample = Some(sample);
        }
        row.entries[output.column]
    }
}
