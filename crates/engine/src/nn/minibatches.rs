//! The order in which mini-batches visit the samples of a run.

use std::ops::Range;

use rand::seq::SliceRandom as _;

use super::{BatchRef, MinibatchBuffers, Samples, SamplesError, Scalar, init::generator};

/// How many steps ahead the rows of a step are announced: enough for a disk to read them while the steps before are
/// computed.
const AHEAD: u64 = 4;

/// The order in which a run's steps visit a batch's samples: epoch after epoch, each in the given order or shuffled by
/// ChaCha8, keyed by `seed`, with the epoch as its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minibatches {
    rows: usize,
    size: usize,
    seed: Option<i64>,
    /// The epoch of `order`, from 1; 0 before the first.
    epoch: u64,
    order: Vec<usize>,
}

impl Minibatches {
    /// Steps of `size` rows (1 to `rows`) out of `rows`; the last of an epoch is smaller if `size` does not divide
    /// `rows`. A seed enables shuffling.
    pub fn new(rows: usize, size: usize, seed: Option<i64>) -> Self {
        let size = size.clamp(1, rows.max(1));
        Self {
            rows,
            size,
            seed,
            epoch: 0,
            order: Vec::new(),
        }
    }

    /// The number of steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.rows.div_ceil(self.size) as u64
    }

    /// The most rows of a step.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The seed for shuffling, if enabled.
    pub fn seed(&self) -> Option<i64> {
        self.seed
    }

    /// The epoch, from 1, of step `index`, from 0.
    pub fn epoch(&self, index: u64) -> u64 {
        index / self.steps_per_epoch() + 1
    }

    /// The rows of step `index`, from 0. A step over the whole unshuffled batch borrows it without a copy.
    pub fn take<'a, T: Scalar>(
        &mut self,
        index: u64,
        batch: BatchRef<'a, T>,
        buffers: &'a mut MinibatchBuffers<T>,
    ) -> BatchRef<'a, T> {
        if self.size == self.rows {
            return batch;
        }
        let Range {
            start: from,
            end: to,
        } = self.rows_of(index);
        let Some(seed) = self.seed else {
            return batch.slice(from, to);
        };
        self.shuffle(seed, self.epoch(index));

        buffers.clear();
        buffers.extend(batch, &self.order[from..to]);
        buffers.view(to - from)
    }

    /// [`Self::take`] from samples that may have to be fetched.
    ///
    /// # Errors
    /// The rows cannot be fetched.
    pub fn fetch<'a, T: Scalar>(
        &mut self,
        index: u64,
        samples: &'a dyn Samples<T>,
        buffers: &'a mut MinibatchBuffers<T>,
    ) -> Result<BatchRef<'a, T>, SamplesError> {
        if let Some(whole) = samples.whole() {
            return Ok(self.take(index, whole, buffers));
        }
        self.order_epoch(self.epoch(index));
        let rows = self.rows_of(index);
        buffers.clear();
        samples.fetch(&self.order[rows.clone()], buffers)?;
        let following = self.rows_of(index + AHEAD);
        // The order of the next epoch is not known yet.
        if following.start > rows.start {
            samples.announce(&self.order[following]);
        }
        Ok(buffers.view(rows.len()))
    }

    /// The places in the order of its epoch that step `index`, from 0, visits.
    fn rows_of(&self, index: u64) -> Range<usize> {
        let from = (index % self.steps_per_epoch()) as usize * self.size;
        from..(from + self.size).min(self.rows)
    }

    /// Sets the order of an epoch. A step over all rows takes them as they are.
    fn order_epoch(&mut self, epoch: u64) {
        match self.seed {
            Some(seed) if self.size < self.rows => self.shuffle(seed, epoch),
            Some(_) | None if self.order.len() != self.rows => {
                self.order = (0..self.rows).collect()
            }
            Some(_) | None => {}
        }
    }

    fn shuffle(&mut self, seed: i64, epoch: u64) {
        if self.epoch == epoch {
            return;
        }
        self.epoch = epoch;
        self.order.clear();
        self.order.extend(0..self.rows);
        self.order.shuffle(&mut generator(seed, epoch));
    }
}
