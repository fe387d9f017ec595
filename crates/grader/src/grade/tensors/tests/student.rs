//! What a student writes: matrices as lists of rows, and nothing of the crate's own arithmetic.

use super::super::{Extras, References, SubmittedTensor};
use backpropd_engine::nn::{
    Activation, Architecture, ArchitectureLimits, BatchRef, Init, LayerSpec, Loss, Objective,
    Reduction, ReluAtZero, TargetsRef,
};

pub(super) type M = Vec<Vec<f64>>;

pub(super) fn mul(a: &M, b: &M) -> M {
    assert_eq!(a[0].len(), b.len(), "inner sizes agree");
    let entry = |row: &Vec<f64>, j: usize| (0..b.len()).map(|k| row[k] * b[k][j]).sum();
    a.iter()
        .map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect())
        .collect()
}

pub(super) fn t(a: &M) -> M {
    (0..a[0].len())
        .map(|j| a.iter().map(|row| row[j]).collect())
        .collect()
}

pub(super) fn map(a: &M, f: impl Fn(f64) -> f64) -> M {
    a.iter()
        .map(|row| row.iter().map(|&v| f(v)).collect())
        .collect()
}

pub(super) fn zip(a: &M, b: &M, f: impl Fn(f64, f64) -> f64) -> M {
    assert_eq!((a.len(), a[0].len()), (b.len(), b[0].len()));
    a.iter()
        .zip(b)
        .map(|(a, b)| a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect())
        .collect()
}

pub(super) fn had(a: &M, b: &M) -> M {
    zip(a, b, |a, b| a * b)
}

pub(super) fn scaled(a: &M, by: f64) -> M {
    map(a, |v| v * by)
}

pub(super) fn column_sums(a: &M) -> Vec<f64> {
    t(a).iter().map(|column| column.iter().sum()).collect()
}

pub(super) fn mask(z: &M) -> M {
    map(z, |z| if z >= 0.0 { 1.0 } else { 0.0 })
}

/// Numbers in −1 … 1 without a pattern.
pub(super) fn numbers(rows: usize, columns: usize, seed: f64) -> M {
    let value = |at: usize| ((at as f64 + 1.0) * 12.9898 + seed * 78.233).sin() * 43_758.545;
    let entry = |at: usize| 2.0 * (value(at) - value(at).floor()) - 1.0;
    (0..rows)
        .map(|i| (0..columns).map(|j| entry(i * columns + j)).collect())
        .collect()
}

pub(super) fn flat(a: &M) -> Vec<f64> {
    a.concat()
}

pub(super) fn matrix(name: &str, a: &M) -> SubmittedTensor {
    SubmittedTensor {
        quantity: name.parse().expect("a quantity"),
        shape: vec![a.len(), a[0].len()],
        values: flat(a),
    }
}

pub(super) fn vector(name: &str, values: &[f64]) -> SubmittedTensor {
    SubmittedTensor {
        quantity: name.parse().expect("a quantity"),
        shape: vec![values.len()],
        values: values.to_vec(),
    }
}

/// A network with a batch, and its forward pass as the student computes it.
pub(super) struct Lab {
    pub(super) architecture: Architecture,
    pub(super) objective: Objective,
    pub(super) x: M,
    pub(super) y: M,
    pub(super) w: Vec<M>,
    pub(super) b: Vec<Vec<f64>>,
    pub(super) z: Vec<M>,
    /// x, h¹, h², ….
    pub(super) h: Vec<M>,
}

fn architecture(sizes: &[usize], hidden: Activation, bias: bool) -> Architecture {
    let depth = sizes.len() - 1;
    let spec = |i: usize| LayerSpec {
        units: sizes[i] as i64,
        activation: if i == depth {
            Activation::Linear
        } else {
            hidden
        },
        bias,
        init: Init::Zeros,
    };
    let specs: Vec<LayerSpec> = (1..=depth).map(spec).collect();
    let limits = ArchitectureLimits {
        layers: 9,
        units: 99,
        parameters: 9999,
    };
    Architecture::new(sizes[0] as i64, &specs, ReluAtZero::One, &limits).expect("it is small")
}

impl Lab {
    fn new(
        sizes: &[usize],
        (hidden, sigma): (Activation, fn(f64) -> f64),
        bias: bool,
        loss: Loss,
        (x, y): (M, M),
    ) -> Self {
        let w: Vec<M> = (1..sizes.len())
            .map(|i| numbers(sizes[i], sizes[i - 1], i as f64 + 5.0))
            .collect();
        let b: Vec<Vec<f64>> = (1..sizes.len())
            .filter(|_| bias)
            .map(|i| numbers(1, sizes[i], i as f64 + 8.4).concat())
            .collect();
        let objective = Objective {
            loss,
            reduction: Reduction::Mean,
        };
        let mut lab = Self {
            architecture: architecture(sizes, hidden, bias),
            objective,
            x,
            y,
            w,
            b,
            z: Vec::new(),
            h: Vec::new(),
        };
        lab.run(sigma);
        lab
    }

    fn run(&mut self, sigma: fn(f64) -> f64) {
        let mut h = self.x.clone();
        self.h = vec![h.clone()];
        for (i, w) in self.w.iter().enumerate() {
            let mut z = mul(&h, &t(w));
            if let Some(b) = self.b.get(i) {
                for row in &mut z {
                    row.iter_mut().zip(b).for_each(|(z, b)| *z += b);
                }
            }
            h = if i + 1 == self.w.len() {
                z.clone()
            } else {
                map(&z, sigma)
            };
            self.z.push(z);
            self.h.push(h.clone());
        }
    }

    /// 4-3-2-1, ReLU, no bias, ½(f − y)², five samples.
    pub(super) fn relu() -> Self {
        Self::relu_on(numbers(5, 4, 0.7), numbers(5, 1, 9.2))
    }

    /// The same network on another batch.
    pub(super) fn relu_on(x: M, y: M) -> Self {
        let relu = (Activation::Relu, (|z| z.max(0.0)) as fn(f64) -> f64);
        Self::new(&[4, 3, 2, 1], relu, false, Loss::HalfSquaredError, (x, y))
    }

    /// 3-4-4-3, tanh, with biases, cross-entropy, six samples.
    pub(super) fn tanh() -> Self {
        let mut y = vec![vec![0.0; 3]; 6];
        for (k, row) in y.iter_mut().enumerate() {
            row[(k * 2 + k / 3) % 3] = 1.0;
        }
        let tanh = (Activation::Tanh, f64::tanh as fn(f64) -> f64);
        let batch = (numbers(6, 3, 1.1), y);
        Self::new(&[3, 4, 4, 3], tanh, true, Loss::CrossEntropy, batch)
    }

    pub(super) fn m(&self) -> f64 {
        self.x.len() as f64
    }

    pub(super) fn parameters(&self) -> Vec<f64> {
        let mut all = Vec::new();
        for (i, w) in self.w.iter().enumerate() {
            all.extend(flat(w));
            all.extend(self.b.get(i).cloned().unwrap_or_default());
        }
        all
    }

    pub(super) fn references(&self) -> References {
        self.references_with(None, None, None)
    }

    pub(super) fn references_with(
        &self,
        earlier: Option<&Self>,
        learning_rate: Option<f64>,
        dataset_size: Option<usize>,
    ) -> References {
        let own = (flat(&self.x), flat(&self.y));
        let before = earlier.map(|lab| (flat(&lab.x), flat(&lab.y), lab.x.len()));
        let batch = BatchRef {
            inputs: &own.0,
            targets: TargetsRef::Values(&own.1),
            rows: self.x.len(),
        };
        let earlier = before.as_ref().map(|(x, y, rows)| BatchRef {
            inputs: x,
            targets: TargetsRef::Values(y),
            rows: *rows,
        });
        let extras = Extras {
            earlier,
            learning_rate,
            dataset_size,
        };
        let parameters = self.parameters();
        References::new(
            &self.architecture,
            &parameters,
            self.objective,
            batch,
            extras,
        )
        .expect("the batch fits")
    }

    /// ∂l/∂f as a student writes it.
    pub(super) fn delta(&self) -> M {
        let f = self.h.last().expect("there is an output");
        let p = match self.objective.loss {
            Loss::CrossEntropy => f.iter().map(|row| softmax(row)).collect(),
            Loss::HalfSquaredError | Loss::MeanSquaredError | Loss::BinaryCrossEntropy => f.clone(),
        };
        scaled(&zip(&p, &self.y, |p, y| p - y), 1.0 / self.m())
    }

    /// σ′ of a hidden layer as a student writes it.
    pub(super) fn slope(&self, i: usize) -> M {
        match self.objective.loss {
            Loss::CrossEntropy => map(&self.h[i], |h| 1.0 - h * h),
            Loss::HalfSquaredError | Loss::MeanSquaredError | Loss::BinaryCrossEntropy => {
                mask(&self.z[i - 1])
            }
        }
    }

    /// The right answers from these parts: dz3, the slopes of layers 2 and 1, and the weights that dh is made with.
    pub(super) fn answers_from(&self, dz3: M, slopes: [&M; 2], w: &[M]) -> Vec<SubmittedTensor> {
        let dh2 = mul(&dz3, &w[2]);
        let dz2 = had(&dh2, slopes[0]);
        let dh1 = mul(&dz2, &w[1]);
        let dz1 = had(&dh1, slopes[1]);
        let mut answers = vec![
            matrix("delta", &dz3),
            matrix("dh2", &dh2),
            matrix("dz2", &dz2),
            matrix("dh1", &dh1),
            matrix("dz1", &dz1),
            matrix("dx", &mul(&dz1, &w[0])),
            matrix("dW3", &mul(&t(&dz3), &self.h[2])),
            matrix("dW2", &mul(&t(&dz2), &self.h[1])),
            matrix("dW1", &mul(&t(&dz1), &self.x)),
        ];
        if !self.b.is_empty() {
            for (name, dz) in [("db3", &dz3), ("db2", &dz2), ("db1", &dz1)] {
                answers.push(vector(name, &column_sums(dz)));
            }
        }
        answers
    }

    pub(super) fn answers(&self) -> Vec<SubmittedTensor> {
        let slopes = [&self.slope(2), &self.slope(1)];
        self.answers_from(self.delta(), slopes, &self.w)
    }
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let sum: f64 = row.iter().map(|f| f.exp()).sum();
    row.iter().map(|f| f.exp() / sum).collect()
}
