//! Training work that can be spelled the same in any language: entries come from one multiplicative hash.

use std::sync::Arc;

use backpropd::nn::{
    Activation, Architecture, ArchitectureLimits, Batch, Decay, Init, LayerSpec, Loss, Matrix,
    Minibatches, Objective, Optimizer, Reduction, ReluAtZero, Scalar, Schedule,
};
use backpropd::training::{Model, Plan, Run, RunData, Spec};
use faer::Par;

/// A network, a batch and an optimizer.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Work {
    /// n₀, n₁, …
    pub sizes: Vec<usize>,
    /// m.
    pub rows: usize,
    /// Whether layers have a bias.
    pub bias: bool,
    /// Adam with PyTorch's defaults instead of SGD.
    pub adam: bool,
    /// η.
    pub learning_rate: f64,
}

/// Entry `i` of the stream `stream`: between −½ and ½, exact in `f32`.
fn entry(stream: usize, i: usize) -> f64 {
    let hash = ((i + 1) as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add((stream as u64).wrapping_mul(0xD1B5_4A32_D192_ED03));
    ((hash ^ (hash >> 29)) >> 40) as f64 / f64::from(1 << 24) - 0.5
}

impl Work {
    /// The floating-point operations of one step's products.
    pub fn flops(&self) -> u64 {
        let products = |(i, pair): (usize, &[usize])| {
            let times = if i == 0 { 2 } else { 3 };
            times * 2 * self.rows * pair[0] * pair[1]
        };
        self.sizes
            .windows(2)
            .enumerate()
            .map(products)
            .sum::<usize>() as u64
    }

    /// What a model of this work is.
    pub fn spec<T: Scalar>(&self) -> Spec {
        let last = self.sizes.len() - 1;
        let layers: Vec<LayerSpec> = (1..self.sizes.len())
            .map(|i| LayerSpec {
                units: self.sizes[i] as i64,
                activation: if i == last {
                    Activation::Linear
                } else {
                    Activation::Relu
                },
                bias: self.bias,
                init: Init::HeNormal,
            })
            .collect();
        let limits = ArchitectureLimits {
            layers: 64,
            units: 1 << 16,
            parameters: 1 << 26,
        };
        let architecture =
            Architecture::new(self.sizes[0] as i64, &layers, ReluAtZero::Zero, &limits)
                .expect("sizes are in range");
        Spec {
            objective: Objective {
                loss: Loss::HalfSquaredError,
                reduction: Reduction::Mean,
            },
            optimizer: if self.adam {
                Optimizer::Adam {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                    weight_decay: 0.0,
                    decoupled: false,
                }
            } else {
                Optimizer::Sgd {
                    momentum: 0.0,
                    nesterov: false,
                    weight_decay: 0.0,
                }
            },
            learning_rate: self.learning_rate,
            schedule: Schedule {
                warmup_steps: 0,
                decay: Decay::Constant,
            },
            clip_norm: 0.0,
            dtype: T::DTYPE,
            architecture,
        }
    }

    /// x and y.
    pub fn batch<T: Scalar>(&self, spec: &Spec) -> Batch<T> {
        let matrix = |columns: usize, stream: usize| Matrix {
            rows: self.rows,
            columns,
            entries: (0..self.rows * columns)
                .map(|i| T::from_f64(entry(stream, i)))
                .collect(),
        };
        let outputs = self.sizes[self.sizes.len() - 1];
        Batch::new(
            &spec.architecture,
            spec.objective,
            matrix(self.sizes[0], 1),
            Some(matrix(outputs, 2)),
            &[],
            self.rows,
        )
        .expect("it fits")
    }

    /// The first weights, of a standard deviation near He's; biases of 0.
    pub fn parameters<T: Scalar>(&self, spec: &Spec) -> Vec<T> {
        let mut parameters = vec![T::ZERO; spec.architecture.parameter_count()];
        for (index, layer) in spec.architecture.layers().iter().enumerate() {
            let scale = (24.0 / layer.fan_in as f64).sqrt();
            for (i, w) in parameters[layer.weights.clone()].iter_mut().enumerate() {
                *w = T::from_f64(entry(3 + index, i)) * T::from_f64(scale);
            }
        }
        parameters
    }

    /// A run that could go on for ever.
    pub fn run<T: Scalar>(&self, par: Par) -> Run<T> {
        let spec = self.spec::<T>();
        let plan = Plan {
            minibatches: Minibatches::new(self.rows, self.rows, None),
            data: RunData::Batch(Arc::new(self.batch(&spec))),
            steps: u64::MAX,
            learning_rate: None,
            request: None,
        };
        let parameters = self.parameters(&spec);
        Run::new(Arc::new(Model::new(spec, parameters, 0)), plan, 0, par)
    }
}
