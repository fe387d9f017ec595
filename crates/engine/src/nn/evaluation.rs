//! How well outputs match targets: loss, accuracy, confusion matrix, R². Needs the forward pass alone.
//!
//! Rows arrive in blocks of any size. Every sum runs over the samples one after the other, so the bits do not depend on
//! how the rows are divided into blocks, and the loss has the bits of a backward pass over all rows at once.

use super::elementwise::largest;
use super::pauses::WALK;
use super::{Loss, Matrix, Objective, Reduction, Scalar, TargetsRef};

/// The optional results of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluationParts {
    /// Count the samples of each class by their predicted class; ignored for an objective without [`classes`].
    pub confusion_matrix: bool,
    /// Store the loss of each sample.
    pub per_sample_loss: bool,
}

/// An evaluation in progress.
#[derive(Clone, Debug)]
pub struct Evaluation<T> {
    objective: Objective,
    /// n_L.
    outputs: usize,
    rows: usize,
    /// Σ l_k.
    sum: f64,
    /// Correctly classified samples, or entries for binary cross-entropy.
    correct: usize,
    /// Classes × classes, if requested.
    confusion: Option<Matrix<u64>>,
    /// l_k, if requested.
    per_sample: Option<Vec<f64>>,
    /// For each output of a regression.
    fits: Vec<Fit>,
    /// Scratch for the losses of a block and for what the loss computes beside them.
    losses: Vec<f64>,
    residuals: Vec<T>,
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// m.
    pub rows: usize,
    /// l, with the reduction of the objective.
    pub loss: f64,
    /// The fraction of correctly classified samples (of entries, for binary cross-entropy).
    pub accuracy: Option<f64>,
    /// Row: true class, column: predicted class; the number of samples.
    pub confusion_matrix: Option<Matrix<u64>>,
    /// l_k of each sample.
    pub per_sample_loss: Option<Vec<f64>>,
    /// R² of a regression.
    pub determination: Option<Determination>,
}

/// R² = 1 − Σ(f − y)² / Σ(y − ȳ)², the coefficient of determination. Where all targets are equal it is 1 if all outputs
/// equal them, else 0, as in scikit-learn.
#[derive(Clone, Debug, PartialEq)]
pub struct Determination {
    /// R² of each output.
    pub outputs: Vec<f64>,
    /// Their mean.
    pub overall: f64,
}

/// The sums of one output, by Welford's method: y may have a mean far larger than its spread.
#[derive(Clone, Copy, Debug, Default)]
struct Fit {
    mean: f64,
    /// Σ(y − ȳ)².
    spread: f64,
    /// Σ(f − y)².
    residual: f64,
}

impl Fit {
    /// Adds sample number `count`, from 1.
    fn add(&mut self, f: f64, y: f64, count: f64) {
        let from_old = y - self.mean;
        self.mean += from_old / count;
        self.spread += from_old * (y - self.mean);
        self.residual += (f - y) * (f - y);
    }

    fn determination(self) -> f64 {
        if self.spread > 0.0 {
            1.0 - self.residual / self.spread
        } else if self.residual == 0.0 {
            1.0
        } else {
            0.0
        }
    }
}

/// The number of classes between which an objective decides for a sample, if it does: n for cross-entropy on n outputs,
/// 2 for binary cross-entropy on one.
pub fn classes(objective: Objective, outputs: usize) -> Option<usize> {
    match objective.loss {
        Loss::CrossEntropy => Some(outputs),
        Loss::BinaryCrossEntropy => (outputs == 1).then_some(2),
        Loss::HalfSquaredError | Loss::MeanSquaredError => None,
    }
}

impl<T: Scalar> Evaluation<T> {
    /// No rows yet, of a network with this many outputs.
    pub fn new(objective: Objective, outputs: usize, parts: EvaluationParts) -> Self {
        let classes = classes(objective, outputs).filter(|_| parts.confusion_matrix);
        let fits = if objective.loss.is_classification() {
            0
        } else {
            outputs
        };
        Self {
            objective,
            outputs,
            rows: 0,
            sum: 0.0,
            correct: 0,
            confusion: classes.map(|classes| Matrix {
                rows: classes,
                columns: classes,
                entries: vec![0; classes * classes],
            }),
            per_sample: parts.per_sample_loss.then(Vec::new),
            fits: vec![Fit::default(); fits],
            losses: Vec::new(),
            residuals: Vec::new(),
        }
    }

    /// The most bytes that an evaluation of `rows` rows allocates, its result included.
    pub fn bytes(
        objective: Objective,
        outputs: usize,
        parts: EvaluationParts,
        rows: usize,
    ) -> usize {
        let block = block_rows(outputs).min(rows);
        let scratch = block * (outputs * size_of::<T>() + size_of::<f64>());
        let classes = classes(objective, outputs).filter(|_| parts.confusion_matrix);
        let confusion = classes.map_or(0, |n| n.saturating_mul(n).saturating_mul(size_of::<u64>()));
        // A vector that grows may hold twice its entries, beside its old ones.
        let per_sample = if parts.per_sample_loss {
            rows.saturating_mul(3 * size_of::<f64>())
        } else {
            0
        };
        scratch
            .saturating_add(outputs * size_of::<Fit>())
            .saturating_add(confusion)
            .saturating_add(per_sample)
    }

    /// Adds samples with outputs `f` (rows × n_L, row-major) and as many targets, of values or labels that the objective
    /// accepts.
    pub fn add(&mut self, f: &[T], targets: TargetsRef<'_, T>) {
        let n = self.outputs;
        let mut targets = targets;
        for f in f.chunks(block_rows(n) * n) {
            let targets = targets.take_rows(f.len() / n, n);
            self.add_block(f, targets);
        }
    }

    fn add_block(&mut self, f: &[T], targets: TargetsRef<'_, T>) {
        let n = self.outputs;
        let rows = f.len() / n;
        self.losses.resize(rows, 0.0);
        self.residuals.resize(f.len(), T::ZERO);
        T::evaluate(
            self.objective,
            f,
            targets,
            &mut self.losses,
            &mut self.residuals,
        );
        for loss in &self.losses {
            self.sum += loss;
        }
        if let Some(per_sample) = &mut self.per_sample {
            per_sample.extend_from_slice(&self.losses);
        }
        for (k, f) in f.chunks_exact(n).enumerate() {
            self.rows += 1;
            self.add_sample(k, f, targets);
        }
    }

    /// Counts sample `k` of a block.
    fn add_sample(&mut self, k: usize, f: &[T], targets: TargetsRef<'_, T>) {
        let n = self.outputs;
        let half = T::from_f64(0.5);
        match self.objective.loss {
            Loss::HalfSquaredError | Loss::MeanSquaredError => {
                let count = self.rows as f64;
                for (j, (fit, f)) in self.fits.iter_mut().zip(f).enumerate() {
                    fit.add(f.to_f64(), targets.entry(k, j, n).to_f64(), count);
                }
            }
            Loss::CrossEntropy => {
                let truth = match targets {
                    TargetsRef::Labels(labels) => labels[k] as usize,
                    TargetsRef::Values(y) => largest(&y[k * n..(k + 1) * n]),
                };
                self.count(truth, largest(f));
            }
            Loss::BinaryCrossEntropy if n == 1 => {
                let truth = targets.entry(k, 0, n) > half;
                self.count(usize::from(truth), usize::from(f[0] > T::ZERO));
            }
            Loss::BinaryCrossEntropy => {
                self.correct += (0..n)
                    .filter(|&j| (f[j] > T::ZERO) == (targets.entry(k, j, n) > half))
                    .count();
            }
        }
    }

    fn count(&mut self, truth: usize, prediction: usize) {
        self.correct += usize::from(truth == prediction);
        if let Some(confusion) = &mut self.confusion {
            confusion.entries[truth * confusion.columns + prediction] += 1;
        }
    }

    /// The result for all rows, of which there is at least one.
    pub fn finish(self) -> Evaluated {
        let rows = self.rows as f64;
        let loss = match self.objective.reduction {
            Reduction::Mean => self.sum / rows,
            Reduction::Sum => self.sum,
        };
        let decisions = match self.objective.loss {
            Loss::HalfSquaredError | Loss::MeanSquaredError => None,
            Loss::CrossEntropy => Some(self.rows),
            Loss::BinaryCrossEntropy => Some(self.rows * self.outputs),
        };
        let determination = (!self.fits.is_empty()).then(|| {
            let outputs: Vec<f64> = self.fits.iter().map(|fit| fit.determination()).collect();
            let overall = outputs.iter().sum::<f64>() / outputs.len() as f64;
            Determination { outputs, overall }
        });
        Evaluated {
            rows: self.rows,
            loss,
            accuracy: decisions.map(|decisions| self.correct as f64 / decisions as f64),
            confusion_matrix: self.confusion,
            per_sample_loss: self.per_sample,
            determination,
        }
    }
}

/// The rows whose losses are computed at once.
fn block_rows(outputs: usize) -> usize {
    (WALK / outputs).max(1)
}
