//! How a pass is cut between threads.
//!
//! Within [`share`] the threads stay awake between two cuts, so that one costs well under a microsecond; without
//! it each cut wakes them. What a piece computes does not depend on the others: the bits are the same for any `par`.

use faer::Par;
use rayon::iter::IntoParallelIterator as _;

use super::Architecture;
use super::product::flops;

/// Work of fewer floating-point operations than this stays on one thread: handing a half of it over, and fetching
/// what the other thread has written, takes about as long as doing it. At twice as many, two threads take a fifth off
/// a step, at six times as many a third (AMD EPYC, f32; `benches/compare/compare.py --only sizes`).
const PARALLEL_FLOPS: usize = 1_000_000;

/// Passes over memory of fewer numbers than this stay on one thread.
const PARALLEL_ENTRIES: usize = 1 << 15;

/// Pieces are whole vectors of the widest instruction set, in numbers.
const VECTOR: usize = 16;

/// Some columns (or rows, or numbers) in pieces of about one size.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    total: usize,
    pieces: usize,
}

impl Cut {
    /// `total` columns that cost `flops` in all, for as many threads as pays. `holds` tells whether a piece of a size
    /// keeps its bits.
    pub fn new(total: usize, flops: usize, par: Par, holds: impl Fn(usize) -> bool) -> Self {
        let threads = par.degree();
        if threads < 2 || flops < PARALLEL_FLOPS {
            return Self { total, pieces: 1 };
        }
        Self::into(total, threads, holds)
    }

    /// At most so many pieces.
    pub fn into(total: usize, pieces: usize, holds: impl Fn(usize) -> bool) -> Self {
        // Two vectors or more each, so that the last piece, which may end within a vector, is no single column.
        let pieces = pieces.min(total.div_ceil(VECTOR) / 2).max(1);
        let cut = Self { total, pieces };
        if cut.sizes().all(holds) {
            cut
        } else {
            Self { total, pieces: 1 }
        }
    }

    /// `total` numbers to walk over, where any cut keeps the bits.
    pub fn of_entries(total: usize, par: Par) -> Self {
        Self::of_rows(total, 1, par)
    }

    /// `rows` rows of `columns` numbers to walk over.
    pub fn of_rows(rows: usize, columns: usize, par: Par) -> Self {
        let few = rows.saturating_mul(columns) < PARALLEL_ENTRIES;
        Self::new(rows, if few { 0 } else { usize::MAX }, par, |_| true)
    }

    /// Whether there is one piece only.
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

/// Does `work`, passes of a network over `rows` rows, with the threads of `par` where they win time by it, else on this
/// one alone.
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

/// Does `work` to each piece, on a thread each.
pub fn each<P: Send>(mut pieces: Vec<P>, work: impl Fn(P) + Sync) {
    if pieces.len() < 2 {
        if let Some(piece) = pieces.pop() {
            work(piece);
        }
        return;
    }
    spindle::for_each(pieces.len(), pieces.into_par_iter(), work);
}

/// Does `work`, which cuts again and again, with the threads of `par` at hand all the while.
fn together<R: Send>(par: Par, work: impl FnOnce() -> R + Send) -> R {
    match par {
        Par::Seq => work(),
        Par::Rayon(threads) => spindle::with_lock(threads.get(), work),
    }
}
