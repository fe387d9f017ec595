//! Long passes in blocks, with pauses between them.
//!
//! A pass over a large network or batch takes seconds, while other calls wait for the same cores. So a long pass is an
//! `async fn` that computes a block of about [`Pauses::block`] operations and then pauses; its driver decides when to
//! resume or drop it. Nothing else is awaited. The bits are those of the same pass without pauses, however it is cut.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use faer::Par;

use super::Architecture;

/// The cost of reading one weight, in floating-point operations: a product with few rows waits for memory.
const FLOPS_PER_READ: usize = 32;

/// The cost of an entry in a loop over a matrix, such as an activation or a loss, in floating-point operations.
const FLOPS_PER_ENTRY: usize = 32;

/// Passes of up to this many operations, a few milliseconds, are not cut: threads that share one stay awake throughout.
const LONG: u64 = 1 << 28;

/// The number of parameters whose digest takes a few milliseconds.
const MANY_PARAMETERS: usize = 1 << 21;

/// A product with fewer rows than this is cut by columns first: packing the weights again for each block would cost as
/// much as multiplying them.
const FEW_ROWS: usize = 64;

/// The rows of a block if a product is cut both ways.
const TILE_ROWS: usize = 128;

/// Blocks have whole vectors of rows and columns, and enough of them to keep the bits.
const VECTOR: usize = 16;

/// Entries of a loop between two pauses.
pub const WALK: usize = 1 << 17;

/// The driver of a long computation.
pub trait Pauses: Sync {
    /// The threads available to the next block.
    fn par(&self) -> Par;

    /// The floating-point operations that a block should have per thread, approximately.
    fn block(&self) -> usize;

    /// Resolves at once, or after other work has run.
    fn pause(&self) -> impl Future<Output = ()> + Send;
}

/// No pauses, and one block.
#[derive(Clone, Copy, Debug)]
pub struct Unpaused(pub Par);

impl Pauses for Unpaused {
    fn par(&self) -> Par {
        self.0
    }

    fn block(&self) -> usize {
        usize::MAX
    }

    async fn pause(&self) {}
}

/// Runs a computation that never pauses.
///
/// # Panics
/// It pauses.
pub fn without_pauses<V>(work: impl Future<Output = V>) -> V {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("Unpaused resolves at once"),
    }
}

/// Whether `passes` passes of `rows` samples, or other work on every parameter, take too long to run without a pause. A
/// backward pass costs as much as two forward ones.
pub fn is_long(architecture: &Architecture, rows: usize, passes: u64) -> bool {
    architecture.parameter_count() > MANY_PARAMETERS
        || cost(architecture, rows).saturating_mul(passes) > LONG
}

/// The approximate cost of a forward pass, in floating-point operations.
fn cost(architecture: &Architecture, rows: usize) -> u64 {
    let layers = architecture.layers().iter();
    let products = layers.map(|layer| product_cost(rows, layer.units, layer.fan_in) as u64);
    let entries = rows.saturating_mul(architecture.units_per_sample());
    products.fold(
        entries.saturating_mul(FLOPS_PER_ENTRY) as u64,
        u64::saturating_add,
    )
}

/// The approximate cost of a rows × columns product of `terms` terms whose right side is read from memory.
fn product_cost(rows: usize, columns: usize, terms: usize) -> usize {
    let per_weight = rows.saturating_mul(2).saturating_add(FLOPS_PER_READ);
    columns.saturating_mul(terms).saturating_mul(per_weight)
}

/// A block of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Tile {
    /// The next block of a rows × columns product of `terms` terms, of about `block` operations. It has at least
    /// `least_rows` rows, and leaves at least as many.
    pub(super) fn of(
        rows: usize,
        columns: usize,
        terms: usize,
        least_rows: usize,
        block: usize,
    ) -> Self {
        let whole = Self { rows, columns };
        if product_cost(rows, columns, terms) <= block {
            return whole;
        }
        // The number of rows that fits in a block of this many columns.
        let rows_for =
            |columns: usize| (block / (columns * terms)).saturating_sub(FLOPS_PER_READ) / 2;
        let (tile_rows, tile_columns) = if product_cost(rows.min(FEW_ROWS), columns, terms) <= block
        {
            (rows_for(columns), columns)
        } else {
            let rows = rows.min(TILE_ROWS);
            match block / product_cost(rows, 1, terms) {
                few if few < 2 * VECTOR => (rows_for(2 * VECTOR), 2 * VECTOR),
                enough => (rows, enough),
            }
        };
        let least = least_rows.max(VECTOR);
        let tile_rows = (tile_rows / VECTOR * VECTOR).max(least);
        Self {
            rows: if rows < tile_rows + least {
                rows
            } else {
                tile_rows
            },
            columns: (tile_columns / VECTOR * VECTOR)
                .max(2 * VECTOR)
                .min(columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_costs_about_what_it_may_and_leaves_no_crumb() {
        let block = 1 << 26;
        for (rows, columns, terms) in [
            (1, 8192, 8192),
            (2, 65_536, 1024),
            (1 << 20, 10, 784),
            (512, 2048, 2048),
            (1000, 1024, 48_000),
            (17, 1, 1 << 20),
        ] {
            let mut left = rows;
            while left > 0 {
                let tile = Tile::of(left, columns, terms, 2, block);
                let cost = product_cost(tile.rows, tile.columns, terms);
                // The smallest block that keeps the bits may cost more.
                let least = product_cost(2 * VECTOR, (2 * VECTOR).min(columns), terms);
                assert!(
                    cost <= (2 * block).max(least),
                    "{left} × {columns}: {tile:?}"
                );
                assert!(tile.rows >= 2 || rows == 1, "{tile:?}");
                left -= tile.rows;
            }
        }
    }
}
