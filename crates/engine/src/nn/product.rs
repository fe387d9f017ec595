//! The matrix product, on faer, with two promises that faer's own entry point does not make: the bits of a product do
//! not depend on how it is cut between threads, and the bits of a row do not depend on the rows beside it.
//!
//! faer 0.24 has four ways to compute C = A B (m × k by k × n). For large products it adds up each entry's k terms in
//! one fixed order (in panels of 512 terms). For m·n·k ≤ 4096 it does the same up to k = 64, and uses another order
//! beyond. For a single row or column it sums in SIMD lanes. k = 1 has one term and no order. So the order depends on m
//! (and n) in two cases only: at a single row or column, and at k > 64 where m·n·k passes 4096. [`min_rows`] gives the
//! number of rows that avoids both, to which the forward pass pads its buffers; [`same_order`] tells whether a piece of
//! a product avoids them. `crates/training/tests/engine/determinism.rs` checks this.
//!
//! For layers with so few weights that the call costs more than the work, plain loops replace faer. This depends on the
//! layer alone, never on the batch, and they add up each entry's terms one after the other.
#![allow(non_snake_case, reason = "matrices have the names of the mathematics")]

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::Scalar;
use super::slices::{take, take_mut};

/// Above this many terms, faer's small kernel adds them in a different order than its large one.
const SAME_ORDER_TERMS: usize = 64;

/// Up to this m·n·k, faer uses its small kernel.
const SMALL_PRODUCT: usize = 4096;

/// Panels of samples in which a larger dW is added up. The rows of dz and h lie far apart, at powers of two if the
/// units are: many at once would evict each other from the nearest cache. For 512 samples of 2048 × 2048 units, panels
/// double the speed (73 to 143 GFLOP/s in f32 on an Intel Xeon with AVX-512).
pub const PANEL_SAMPLES: usize = 128;

/// Layers of at most this many weights are computed by plain loops: a call of faer's takes 30 to 50 ns, as much as
/// that many multiplications (`cargo bench --bench engine`).
const FEW_WEIGHTS: usize = 32;

/// Whether a layer of `units` × `fan_in` weights is computed by plain loops.
pub fn is_small(units: usize, fan_in: usize) -> bool {
    units * fan_in <= FEW_WEIGHTS && fan_in <= MOST_COLUMNS
}

/// The most columns that [`for_columns`] supports.
const MOST_COLUMNS: usize = 8;

/// Calls a function with the number of columns as a constant: unrolling so few rounds is cheaper than a loop.
macro_rules! for_columns {
    ($k:expr, $function:ident($($argument:expr),*)) => {
        match $k {
            1 => $function::<T, 1>($($argument),*),
            2 => $function::<T, 2>($($argument),*),
            3 => $function::<T, 3>($($argument),*),
            4 => $function::<T, 4>($($argument),*),
            5 => $function::<T, 5>($($argument),*),
            6 => $function::<T, 6>($($argument),*),
            7 => $function::<T, 7>($($argument),*),
            8 => $function::<T, 8>($($argument),*),
            k => unreachable!("is_small takes layers of {k} columns for large"),
        }
    };
}

/// The fewest rows m at which every row of an m × n product of `terms` terms has the same bits as in a larger one.
pub fn min_rows(terms: usize, n: usize) -> usize {
    if is_small(n, terms) {
        1
    } else if terms <= SAME_ORDER_TERMS || n == 1 {
        2
    } else {
        (SMALL_PRODUCT / terms.saturating_mul(n) + 1).max(2)
    }
}

/// Whether an m × n piece of a larger product of `terms` terms has the same bits as within it.
pub fn same_order(m: usize, n: usize, terms: usize) -> bool {
    m > 1
        && n > 1
        && (terms <= SAME_ORDER_TERMS || m.saturating_mul(n).saturating_mul(terms) > SMALL_PRODUCT)
}

/// The number of floating-point operations of a product.
pub fn flops(m: usize, n: usize, terms: usize) -> usize {
    m.saturating_mul(n).saturating_mul(terms).saturating_mul(2)
}

/// dst (m × n) = lhs (m × k) rhs (k × n), on this thread.
pub fn product<T: Scalar>(dst: MatMut<'_, T>, lhs: MatRef<'_, T>, rhs: MatRef<'_, T>) {
    matmul(dst, Accum::Replace, lhs, rhs, T::ONE, Par::Seq);
}

/// dW (n × k) = dzᵀ (n × m) h (m × k), a panel of samples after the other, on this thread.
pub fn gradient_product<T: Scalar>(dW: MatMut<'_, T>, dz: MatRef<'_, T>, h: MatRef<'_, T>) {
    let mut dW = dW;
    for first in (0..dz.nrows()).step_by(PANEL_SAMPLES) {
        T::gradient_panel(dW.as_mut(), dz, h, first);
    }
}

/// Adds the panel of samples that begins at `first` to dW; the first panel overwrites it.
pub fn gradient_panel<T: Scalar>(
    dW: MatMut<'_, T>,
    dz: MatRef<'_, T>,
    h: MatRef<'_, T>,
    first: usize,
) {
    let samples = PANEL_SAMPLES.min(dz.nrows() - first);
    let accum = if first == 0 {
        Accum::Replace
    } else {
        Accum::Add
    };
    let dz = dz.subrows(first, samples).transpose();
    matmul(dW, accum, dz, h.subrows(first, samples), T::ONE, Par::Seq);
}

/// Whether n of the units of a dW of k columns have the bits that they have among all, for m samples.
pub fn same_order_of_gradient(n: usize, k: usize, m: usize) -> bool {
    let last = m % PANEL_SAMPLES;
    same_order(n, k, m.min(PANEL_SAMPLES)) && (last == 0 || same_order(n, k, last))
}

/// z (m × n) = h (m × k) Wᵀ for a small W (n × k).
pub fn small_forward<T: Scalar>(z: &mut [T], h: &[T], W: &[T], k: usize) {
    fn unrolled<T: Scalar, const K: usize>(z: &mut [T], h: &[T], W: &[T]) {
        let (W, _) = W.as_chunks::<K>();
        let mut z = z;
        for h in h.as_chunks::<K>().0 {
            for (z, W) in take_mut(&mut z, W.len()).iter_mut().zip(W) {
                let mut sum = T::ZERO;
                for p in 0..K {
                    sum += h[p] * W[p];
                }
                *z = sum;
            }
        }
    }
    for_columns!(k, unrolled(z, h, W));
}

/// dh (m × k) = dz (m × n) W for a small W (n × k).
pub fn small_backward<T: Scalar>(dh: &mut [T], dz: &[T], W: &[T], k: usize) {
    fn unrolled<T: Scalar, const K: usize>(dh: &mut [T], dz: &[T], W: &[T]) {
        let (W, _) = W.as_chunks::<K>();
        let mut dz = dz;
        for dh in dh.as_chunks_mut::<K>().0 {
            let mut sums = [T::ZERO; K];
            for (&dz, W) in take(&mut dz, W.len()).iter().zip(W) {
                for p in 0..K {
                    sums[p] += dz * W[p];
                }
            }
            *dh = sums;
        }
    }
    for_columns!(k, unrolled(dh, dz, W));
}

/// dW (n × k) = dzᵀ (n × m) h (m × k) for a small dW.
pub fn small_gradient<T: Scalar>(dW: &mut [T], dz: &[T], h: &[T], k: usize) {
    dW.fill(T::ZERO);
    T::add_small_gradient(dW, dz, h, k);
}

/// Adds further samples to a small dW.
pub fn add_small_gradient<T: Scalar>(dW: &mut [T], dz: &[T], h: &[T], k: usize) {
    fn unrolled<T: Scalar, const K: usize>(dW: &mut [T], dz: &[T], h: &[T]) {
        let (dW, _) = dW.as_chunks_mut::<K>();
        let mut dz = dz;
        for h in h.as_chunks::<K>().0 {
            for (&dz, dW) in take(&mut dz, dW.len()).iter().zip(dW.iter_mut()) {
                for p in 0..K {
                    dW[p] += dz * h[p];
                }
            }
        }
    }
    for_columns!(k, unrolled(dW, dz, h));
}
