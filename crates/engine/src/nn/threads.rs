//! How a pass is divided between threads.
//!
//! Within [`share`] the threads stay awake between two cuts, so that a cut costs well under a microsecond; otherwise
//! each cut wakes them. No piece depends on another, so the bits are the same for any `par`.

use faer::Par;
use rayon::iter::IntoParallelIterator as _;

use super::Architecture;
use super::product::flops;

/// Work of fewer floating-point operations than this stays on one thread: handing over half of it and fetching the
/// results takes about as long as doing it. At twice as many, two threads save a fifth of a step; at six times as many,
/// a third (AMD EPYC, f32; `benches/compare/compare.py --only sizes`).
const PARALLEL_FLOPS: usize = 1_000_000;

/// Loops over fewer entries than this stay on one thread.
const PARALLEL_ENTRIES: usize = 1 << 15;

/// Pieces are multiples of the widest vector, in numbers.
const VECTOR: usize = 16;

/// A division of columns (or rows, or entries) into pieces of about the same size.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    total: usize,
    pieces: usize,
}

impl Cut {
    /// Divides `total` columns, which cost `flops` in all, among as many threads as pay off. `holds` tells whether
    /// pieces of a size keep their bits.
    pub fn new(total: usize, flops: usize, par: Par, holds: impl Fn(usize) -> bool) -> Self {
        let threads = par.degree();
        if threads < 2 || flops < PARALLEL_FLOPS {
            return Self { total, pieces: 1 };
        }
        Self::into(total, threads, holds)
    }

    /// Divides `total` columns into at most `pieces`.
    pub fn into(total: usize, pieces: usize, holds: impl Fn(usize) -> bool) -> Self {
        // At least two vectors each, so that the last piece, which may end within a vector, is not a single column.
        let pieces = pieces.min(total.div_ceil(VECTOR) / 2).max(1);
        let cut = Self { total, pieces };
        if cut.sizes().all(holds) {
            cut
        } else {
            Self { total, pieces: 1 }
        }
    }

    /// Divides a loop over `total` entries, whose bits do not depend on the division.
    pub fn of_entries(total: usize, par: Par) -> Self {
        Self::of_rows(total, 1, par)
    }

    /// Divides a loop over `rows` rows of `columns` entries.
    pub fn of_rows(rows: usize, columns: usize, par: Par) -> Self {
        let few = rows.saturating_mul(columns) < PARALLEL_ENTRIES;
        Self::new(rows, if few { 0 } else { usize::MAX }, par, |_| true)
    }

    /// Whether there is only one piece.
    pub fn is_whole(self) -> bool {
        self.pieces == 1
    }

    /// The sizes of the pieces, in order.
    pub fn sizes(self) -> impl Iterator<Item = usize> {
        let vectors = self.total.div_ceil(VECTOR);
        let end = move |piece: usize| (vectors * piece / self.pieces * VECTOR).min(self.total);
        (0..self.pieces).map(move |piece| end(piece + 1) - end(piece))
    }
}

/// Runs `work`, passes of a network over `rows` rows, on the threads of `par` if that saves time, else on this thread
/// alone.
pub fn share<R: Send>(
    architecture: &Architecture,
    rows: usize,
    par: Par,
    work: impl FnOnce(Par) -> R + Send,
) -> R {
    let mut layers = architecture.layers().iter();
    if layers.any(|layer| flops(rows, layer.units, layer.fan_in) >= PARALLEL_FLOPS) {
        together(par, || work(par))
    } else {
        work(Par::Seq)
    }
}

/// Runs `work` on each piece, with a thread for each.
pub fn each<P: Send>(mut pieces: Vec<P>, work: impl Fn(P) + Sync) {
    if pieces.len() < 2 {
        if let Some(piece) = pieces.pop() {
            work(piece);
        }
        return;
    }
    spindle::for_each(pieces.len(), pieces.into_par_iter(), work);
}

/// Runs `work`, which cuts repeatedly, while the threads of `par` stay available.
fn together<R: Send>(par: Par, work: impl FnOnce() -> R + Send) -> R {
    match par {
        Par::Seq => work(),
        Par::Rayon(threads) => spindle::with_lock(threads.get(), work),
    }
}
