//! The losses on logits, without a subtraction of numbers that may be nearly equal. A correctly classified sample,
//! whose loss and gradient are as small as the other classes' probabilities, keeps its digits.

use super::super::elementwise::{exponentials_of_rows, largest};
use super::super::{Scalar, TargetsRef};

/// The sum of non-negative numbers, with all but the largest apart.
struct Total {
    /// The index of the largest, or of the first of them.
    top: usize,
    /// The sum of all the others.
    rest: f64,
    total: f64,
}

impl Total {
    /// From the sum of all but the first of the largest.
    fn new<T: Scalar>(entries: &[T], top: usize, rest: f64) -> Self {
        Self {
            top,
            rest,
            total: entries[top].to_f64() + rest,
        }
    }

    fn of<T: Scalar>(entries: &[T]) -> Self {
        let top = largest(entries);
        let others = entries[..top].iter().chain(&entries[top + 1..]);
        Self::new(entries, top, others.map(|entry| entry.to_f64()).sum())
    }

    /// The sum without entry `j`. Only the largest can be more than half of the sum, and is never subtracted.
    fn without(&self, j: usize, entry: f64) -> f64 {
        if j == self.top {
            self.rest
        } else {
            self.total - entry
        }
    }
}

/// softmax of a row, in place.
pub fn softmax<T: Scalar>(row: &mut [T]) {
    let f = row.to_vec();
    let mut rest = [0.0];
    exponentials_of_rows(&f, row, &mut rest, f.len());
    for entry in row {
        *entry = T::from_f64(entry.to_f64() / (1.0 + rest[0]));
    }
}

/// −Σ y log softmax(f). `df` holds the row's exponentials, whose sum without the largest is `rest`, and receives
/// softmax(f) Σy − y.
pub fn cross_entropy<T: Scalar>(
    f: &[T],
    targets: TargetsRef<'_, T>,
    k: usize,
    rest: f64,
    df: &mut [T],
) -> f64 {
    let n = f.len();
    let top = largest(f);
    let exponentials = Total::new(df, top, rest);
    // −log of a class's probability, without the logarithm of a number near 1.
    let (largest_f, log_of_total) = (f[top].to_f64(), libm::log1p(rest));
    let surprise = |f: T| (largest_f - f.to_f64()) + log_of_total;
    let share = |df: f64| T::from_f64(df / exponentials.total);
    match targets {
        TargetsRef::Labels(labels) => {
            let label = labels[k] as usize;
            let others = exponentials.without(label, df[label].to_f64());
            for df in &mut *df {
                *df = share(df.to_f64());
            }
            df[label] = share(0.0 - others);
            surprise(f[label])
        }
        TargetsRef::Values(y) => {
            let y = &y[k * n..(k + 1) * n];
            let targets = Total::of(y);
            let mut loss = 0.0;
            for (j, ((df, &f), y)) in df.iter_mut().zip(f).zip(y).enumerate() {
                let (e, y) = (df.to_f64(), y.to_f64());
                // p Σy − y, as p (Σy − y) − y (1 − p): a class with all of the target, or none, has one term.
                *df = share(e * targets.without(j, y) - y * exponentials.without(j, e));
                // 0·log 0 is 0 here: a class with no target says nothing, however unlikely it is.
                if y != 0.0 {
                    loss += y * surprise(f);
                }
            }
            loss
        }
    }
}

/// Σ −y log σ(f) − (1 − y) log σ(−f). `df` holds exp(−|f|) and receives σ(f) − y.
pub fn binary_cross_entropy<T: Scalar>(
    f: &[T],
    targets: TargetsRef<'_, T>,
    k: usize,
    df: &mut [T],
) -> f64 {
    let n = f.len();
    let mut loss = 0.0;
    for (j, (df, f)) in df.iter_mut().zip(f).enumerate() {
        let (f, y, e) = (f.to_f64(), targets.entry(k, j, n).to_f64(), df.to_f64());
        // σ(f) and σ(−f), times 1 + e; σ(f) − y as σ(f) (1 − y) − y σ(−f).
        let (own, other) = if f >= 0.0 { (1.0, e) } else { (e, 1.0) };
        *df = T::from_f64((own * (1.0 - y) - y * other) / (1.0 + e));
        let wrong = if f >= 0.0 { 1.0 - y } else { y };
        loss += f.abs() * wrong + libm::log1p(e);
    }
    loss
}
