//! The batch sizes of a question's networks.

use crate::grade::BatchKind;

/// The batch sizes of a question on many samples, in rotation. A single sample shows little, so it comes up once.
pub const BATCH_SIZES: [usize; 10] = [2, 3, 5, 2, 3, 5, 2, 3, 1, 5];

/// The fewest networks on which an answer is evaluated: one for each point, and each batch size in turn.
pub fn fewest_networks(kind: BatchKind) -> usize {
    match kind {
        BatchKind::One => 10,
        BatchKind::Many => BATCH_SIZES.len(),
    }
}

/// m of the network at `index`.
pub(super) fn samples(kind: BatchKind, index: usize) -> usize {
    match kind {
        BatchKind::One => 1,
        BatchKind::Many => BATCH_SIZES[index % BATCH_SIZES.len()],
    }
}

/// The number of samples in the networks before `index`.
pub(super) fn first_sample(kind: BatchKind, index: usize) -> usize {
    match kind {
        BatchKind::One => index,
        BatchKind::Many => {
            let (turns, rest) = (index / BATCH_SIZES.len(), index % BATCH_SIZES.len());
            let of_a_turn: usize = BATCH_SIZES.iter().sum();
            turns * of_a_turn + BATCH_SIZES[..rest].iter().sum::<usize>()
        }
    }
}
