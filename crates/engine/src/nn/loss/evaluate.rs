//! The losses: a number for each sample, and ∂l/∂f.

use faer::Par;

use super::super::elementwise::{
    combine, exponentials_of_rows, largest, map_smooth, squares_of_rows,
};
use super::super::pauses::{Pauses, WALK};
use super::super::slices::{take, take_mut};
use super::super::smooth::{Decay, Sigmoid, Smooth};
use super::super::threads::{Cut, each};
use super::super::{Scalar, TargetsRef};
use super::logits::{binary_cross_entropy, cross_entropy, softmax};
use super::{Loss, Objective, Reduction};

impl Objective {
    /// Evaluates the loss of outputs `f` (m × n, row-major): writes each sample's loss to `per_sample` (m) and ∂l/∂f to
    /// `df` (m × n), and returns l. The targets have m rows of n, or m labels below n.
    pub fn evaluate<T: Scalar>(
        self,
        f: &[T],
        targets: TargetsRef<'_, T>,
        per_sample: &mut [f64],
        df: &mut [T],
        par: Par,
    ) -> f64 {
        let rows = per_sample.len();
        let factor = T::from_f64(self.gradient_scale(rows, f.len() / rows));
        self.evaluate_rows(f, targets, per_sample, df, factor, par);
        self.reduce(per_sample)
    }

    /// [`Self::evaluate`] with pauses.
    pub async fn evaluate_in_blocks<T: Scalar>(
        self,
        f: &[T],
        targets: TargetsRef<'_, T>,
        per_sample: &mut [f64],
        df: &mut [T],
        pauses: &impl Pauses,
    ) -> f64 {
        let rows = per_sample.len();
        let n = f.len() / rows;
        let factor = T::from_f64(self.gradient_scale(rows, n));
        let block = (WALK / n).max(1);
        let (mut f, mut targets, mut df) = (f, targets, df);
        for per_sample in per_sample.chunks_mut(block) {
            let rows = per_sample.len();
            let (f, df) = (take(&mut f, rows * n), take_mut(&mut df, rows * n));
            let targets = targets.take_rows(rows, n);
            self.evaluate_rows(f, targets, per_sample, df, factor, Par::Seq);
            pauses.pause().await;
        }
        self.reduce(per_sample)
    }

    fn reduce(self, per_sample: &[f64]) -> f64 {
        let sum: f64 = per_sample.iter().sum();
        match self.reduction {
            Reduction::Mean => sum / per_sample.len() as f64,
            Reduction::Sum => sum,
        }
    }

    /// The losses of the samples and ∂l/∂f, in pieces of rows on several threads if there are many entries.
    fn evaluate_rows<T: Scalar>(
        self,
        f: &[T],
        targets: TargetsRef<'_, T>,
        per_sample: &mut [f64],
        df: &mut [T],
        factor: T,
        par: Par,
    ) {
        let n = f.len() / per_sample.len();
        let cut = Cut::of_rows(per_sample.len(), n, par);
        if cut.is_whole() {
            T::evaluate(self, f, targets, per_sample, df);
            return T::scale_entries(df, factor);
        }
        let (mut f, mut targets, mut per_sample, mut df) = (f, targets, per_sample, df);
        let pieces = cut
            .sizes()
            .map(|rows| {
                (
                    take(&mut f, rows * n),
                    targets.take_rows(rows, n),
                    take_mut(&mut per_sample, rows),
                    take_mut(&mut df, rows * n),
                )
            })
            .collect();
        each(pieces, |(f, targets, per_sample, df)| {
            self.evaluate_rows(f, targets, per_sample, df, factor, Par::Seq);
        });
    }

    /// The losses of the samples, and ∂l_k/∂f without the factor that all entries share.
    pub(in super::super) fn evaluate_here<T: Scalar>(
        self,
        f: &[T],
        targets: TargetsRef<'_, T>,
        per_sample: &mut [f64],
        df: &mut [T],
    ) {
        let n = f.len() / per_sample.len();
        let per_entry = match self.reduction {
            Reduction::Mean => 1.0 / n as f64,
            Reduction::Sum => 1.0,
        };
        match self.loss {
            Loss::HalfSquaredError => squared_error(f, targets, 0.5, per_sample, df),
            Loss::MeanSquaredError => squared_error(f, targets, per_entry, per_sample, df),
            Loss::CrossEntropy => {
                exponentials_of_rows(f, df, per_sample, n);
                for (k, own) in per_sample.iter_mut().enumerate() {
                    let row = k * n..(k + 1) * n;
                    *own = cross_entropy(&f[row.clone()], targets, k, *own, &mut df[row]);
                }
            }
            Loss::BinaryCrossEntropy => {
                map_smooth::<Decay, T>(f, df);
                for (k, own) in per_sample.iter_mut().enumerate() {
                    let row = k * n..(k + 1) * n;
                    let sum = binary_cross_entropy(&f[row.clone()], targets, k, &mut df[row]);
                    *own = per_entry * sum;
                }
            }
        }
    }

    /// The constant factor of ∂l/∂f, which [`Self::evaluate_here`] leaves out.
    pub(in super::super) fn gradient_scale(self, rows: usize, n: usize) -> f64 {
        let per_loss = match self.loss {
            Loss::HalfSquaredError | Loss::CrossEntropy | Loss::BinaryCrossEntropy => 1.0,
            Loss::MeanSquaredError => 2.0,
        };
        let divisor = match (self.reduction, self.loss) {
            (Reduction::Sum, _) => 1.0,
            (Reduction::Mean, Loss::HalfSquaredError | Loss::CrossEntropy) => rows as f64,
            (Reduction::Mean, Loss::MeanSquaredError | Loss::BinaryCrossEntropy) => {
                rows as f64 * n as f64
            }
        };
        per_loss / divisor
    }

    /// The share of samples whose class is correct (of entries, for binary cross-entropy): the largest output against
    /// the largest target, or f > 0 against y > ½. `None` for losses without classes.
    pub fn accuracy<T: Scalar>(
        self,
        f: &[T],
        targets: TargetsRef<'_, T>,
        rows: usize,
    ) -> Option<f64> {
        let n = f.len() / rows;
        let lines = f.chunks_exact(n).enumerate();
        match self.loss {
            Loss::HalfSquaredError | Loss::MeanSquaredError => None,
            Loss::CrossEntropy => {
                let right = lines
                    .filter(|(k, f)| {
                        largest(f)
                            == match targets {
                                TargetsRef::Labels(labels) => labels[*k] as usize,
                                TargetsRef::Values(y) => largest(&y[k * n..(k + 1) * n]),
                            }
                    })
                    .count();
                Some(right as f64 / rows as f64)
            }
            Loss::BinaryCrossEntropy => {
                let half = T::from_f64(0.5);
                let right: usize = lines
                    .map(|(k, f)| {
                        (0..n)
                            .filter(|&j| (f[j] > T::ZERO) == (targets.entry(k, j, n) > half))
                            .count()
                    })
                    .sum();
                Some(right as f64 / (rows * n) as f64)
            }
        }
    }

    /// Turns a row of outputs into probabilities in place, by softmax or sigmoid; leaves it unchanged for other losses.
    pub fn probabilities<T: Scalar>(self, row: &mut [T]) {
        match self.loss {
            Loss::HalfSquaredError | Loss::MeanSquaredError => {}
            Loss::CrossEntropy => softmax(row),
            Loss::BinaryCrossEntropy => {
                for f in row {
                    *f = T::from_f64(Sigmoid::value(f.to_f64()));
                }
            }
        }
    }
}

/// `factor`·‖f − y‖² for every sample; df = f − y.
fn squared_error<T: Scalar>(
    f: &[T],
    targets: TargetsRef<'_, T>,
    factor: f64,
    per_sample: &mut [f64],
    df: &mut [T],
) {
    let n = f.len() / per_sample.len();
    match targets {
        TargetsRef::Values(y) => combine(f, y, df, |f, y| f - y),
        TargetsRef::Labels(_) => {
            let rows = df.chunks_exact_mut(n).zip(f.chunks_exact(n));
            for (k, (df, f)) in rows.enumerate() {
                for (j, (df, &f)) in df.iter_mut().zip(f).enumerate() {
                    *df = f - targets.entry(k, j, n);
                }
            }
        }
    }
    squares_of_rows(per_sample, df, n);
    for own in per_sample {
        *own *= factor;
    }
}
