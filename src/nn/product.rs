//! The matrix product, on faer, with the two promises that faer's own entry point does not make: the bits of a
//! product do not depend on the number of threads, and those of one row not on the rows beside it.
//!
//! faer 0.24 has four ways to compute C = A B (m × k by k × n). For large products it adds up each entry's k terms
//! in one fixed order (in panels of 512 terms). For m·n·k ≤ 4096 it does the same up to k = 64, and in another
//! order beyond. For a single row or column it sums in SIMD lanes. k = 1 has one term and no order. So the order
//! depends on m in two places only: at m = 1, and at k > 64 where m·n·k passes 4096. [`min_rows`] says how many
//! rows keep clear of both; the forward pass pads its buffers to that many. `tests/determinism.rs` holds this.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::Scalar;

/// Products of fewer floating-point operations than this are computed on one core: a fork and a join cost more.
const PARALLEL_FLOPS: usize = 10_000_000;

/// Above this many terms, faer's small kernel adds them up in another order than its large one.
const SAME_ORDER_TERMS: usize = 64;

/// Up to this m·n·k faer takes its small kernel.
const SMALL_PRODUCT: usize = 4096;

/// The fewest rows m at which every row of an m × n product of `terms` terms has the bits that it has in a larger
/// one.
pub fn min_rows(terms: usize, n: usize) -> usize {
    if terms <= SAME_ORDER_TERMS || n == 1 {
        2
    } else {
        (SMALL_PRODUCT / terms.saturating_mul(n) + 1).max(2)
    }
}

/// dst (m × n) = lhs (m × k) rhs (k × n). The same bits for any `par`.
pub fn product<T: Scalar>(dst: MatMut<'_, T>, lhs: MatRef<'_, T>, rhs: MatRef<'_, T>, par: Par) {
    let (m, n, k) = (dst.nrows(), dst.ncols(), lhs.ncols());
    let flops = 2_usize
        .saturating_mul(m)
        .saturating_mul(n)
        .saturating_mul(k);
    // A matrix times a vector would be cut along k between threads, and its sums with it.
    let is_vector = m == 1 || n == 1;
    let par = if is_vector || flops < PARALLEL_FLOPS {
        Par::Seq
    } else {
        par
    };
    matmul(dst, Accum::Replace, lhs, rhs, T::ONE, par);
}
