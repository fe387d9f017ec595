//! The wrong numbers that mistaken code uses in place of the right ones.

use std::ops::Range;

use backpropd_engine::nn::{Activation, Loss, Objective, TargetsRef};

use crate::grade::pass::Pass;
use crate::grade::wrong::{Kinks, Slope, Start, Wrong};

impl Pass {
    /// ∂l/∂f as computed by code with these mistakes.
    pub(super) fn start(&self, wrong: &Wrong) -> Vec<f64> {
        let n = self.architecture.output_size();
        let mut df = match wrong.start {
            Start::Right => self.df.clone(),
            Start::Sample { row, .. } => {
                let mut df = vec![0.0; self.df.len()];
                let kept = row * n..(row + 1) * n;
                df[kept.clone()].copy_from_slice(&self.df[kept]);
                df
            }
            Start::MeanTargets => {
                let mean = self.targets.iter().sum::<f64>() / self.targets.len() as f64;
                self.output_gradient(self.objective.loss, &vec![mean; self.targets.len()])
            }
            Start::RawOutputs => {
                // A squared error has f − y, and one of the two has the loss's divisor.
                let (loss, constant) = match self.objective.loss {
                    Loss::HalfSquaredError | Loss::CrossEntropy => (Loss::HalfSquaredError, 1.0),
                    Loss::MeanSquaredError | Loss::BinaryCrossEntropy => {
                        (Loss::MeanSquaredError, 0.5)
                    }
                };
                let mut df = self.output_gradient(loss, &self.targets);
                df.iter_mut().for_each(|df| *df *= constant);
                df
            }
            Start::Sigmoids => {
                // The loss of sigmoids is a mean over the outputs, too.
                let mut df = self.output_gradient(Loss::BinaryCrossEntropy, &self.targets);
                df.iter_mut().for_each(|df| *df *= n as f64);
                df
            }
            Start::ProbabilitySlope => {
                let slopes = self.probabilities().into_iter().map(|p| p * (1.0 - p));
                self.df
                    .iter()
                    .zip(slopes)
                    .map(|(df, slope)| df * slope)
                    .collect()
            }
        };
        for df in &mut df {
            *df *= wrong.scale.unwrap_or(1.0);
        }
        df
    }

    /// ∂l/∂f of this loss and these targets.
    pub(super) fn output_gradient(&self, loss: Loss, targets: &[f64]) -> Vec<f64> {
        let objective = Objective {
            loss,
            ..self.objective
        };
        let (mut per_sample, mut df) = (vec![0.0; self.rows], vec![0.0; self.df.len()]);
        let f = &self.h[self.architecture.depth()];
        objective.evaluate(
            f,
            TargetsRef::Values(targets),
            &mut per_sample,
            &mut df,
            faer::Par::Seq,
        );
        df
    }

    /// The factors of these entries of dhⁱ.
    pub(super) fn slopes(
        &self,
        i: usize,
        slope: Slope,
        (kinks, tau): (Kinks, f64),
        range: Range<usize>,
    ) -> Vec<f64> {
        let activation = self.architecture.layers()[i - 1].activation;
        let (z, h) = (&self.z[i - 1][range.clone()], &self.h[i][range.clone()]);
        let of = |values: &[f64], f: &dyn Fn(f64) -> f64| values.iter().map(|&v| f(v)).collect();
        match slope {
            Slope::Right => self.derivative(activation, z, kinks, tau),
            Slope::At(j) => self.derivative(activation, &self.z[j - 1][range], kinks, tau),
            Slope::AtActivation => self.derivative(activation, h, Kinks::AsTheyAre, tau),
            Slope::Omitted => vec![1.0; z.len()],
            Slope::Inverted => {
                let sum = 1.0 + low_slope(activation);
                let mut slopes = self.derivative(activation, z, kinks, tau);
                slopes.iter_mut().for_each(|slope| *slope = sum - *slope);
                slopes
            }
            Slope::Step => self.derivative(Activation::Relu, z, kinks, tau),
            Slope::Value => h.to_vec(),
            Slope::Logistic => of(h, &|h| h * (1.0 - h)),
            Slope::Tangent => of(h, &|h| 1.0 - h * h),
            Slope::Complement => of(h, &|h| 1.0 - h),
            Slope::Leaky(slope) => self.derivative(Activation::LeakyRelu { slope }, z, kinks, tau),
            Slope::LogisticOfZ => of(z, &|z| z * (1.0 - z)),
            Slope::TangentOfZ => of(z, &|z| 1.0 - z * z),
        }
    }

    fn derivative(&self, activation: Activation, z: &[f64], kinks: Kinks, tau: f64) -> Vec<f64> {
        let mut slopes = vec![0.0; z.len()];
        let at_zero = self.architecture.relu_at_zero();
        activation.backward(z, &vec![1.0; z.len()], &mut slopes, at_zero);
        if !activation.has_kink() {
            return slopes;
        }
        let low = low_slope(activation);
        for (slope, z) in slopes.iter_mut().zip(z).filter(|(_, z)| z.abs() <= tau) {
            *slope = match kinks {
                Kinks::AsTheyAre => *slope,
                Kinks::Switched => {
                    if at_zero.passes(*z) {
                        low
                    } else {
                        1.0
                    }
                }
                Kinks::On => 1.0,
                Kinks::Off => low,
            };
        }
        slopes
    }
}

/// The slope left of the kink.
impl Pass {
    /// The softmax of the outputs of each sample, or the sigmoid of each output, as the loss has it.
    fn probabilities(&self) -> Vec<f64> {
        let f = &self.h[self.architecture.depth()];
        if self.objective.loss != Loss::CrossEntropy {
            return f.iter().map(|f| 1.0 / (1.0 + (-f).exp())).collect();
        }
        let softmax = |row: &[f64]| {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = row.iter().map(|f| (f - top).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(move |power| power / sum)
        };
        f.chunks_exact(self.architecture.output_size())
            .flat_map(softmax)
            .collect()
    }
}

fn low_slope(activation: Activation) -> f64 {
    match activation {
        Activation::LeakyRelu { slope } => slope,
        _ => 0.0,
    }
}
