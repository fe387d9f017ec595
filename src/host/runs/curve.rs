//! The metrics and the held-out figures of a run, thinned to a bounded number of points, for readers that come late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::held_out::HeldOutMetrics;
use crate::training::StepMetrics;

/// A curve may take this part of the memory that is free, so that the curves of one client leave room for others.
const PART_OF_FREE: usize = 64;

/// The memory for the runs of all models that have ended, and for all curves. When it runs out, curves become coarser;
/// no call is refused.
#[derive(Debug)]
pub struct HistoryMemory {
    limit: usize,
    used: AtomicUsize,
}

impl HistoryMemory {
    /// Nothing used of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    /// Takes `bytes` for an owner that has `held`; returns whether they are its to use.
    fn take(&self, bytes: usize, held: usize) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let free = self.limit.saturating_sub(used);
                (held + bytes <= free / PART_OF_FREE).then_some(used + bytes)
            });
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A point of a curve.
pub trait Point: Copy {
    /// The model's step, which rises from point to point.
    fn step(&self) -> u64;
}

impl Point for StepMetrics {
    fn step(&self) -> u64 {
        self.step
    }
}

impl Point for HeldOutMetrics {
    fn step(&self) -> u64 {
        self.step
    }
}

/// The figures of a run: of its first step or evaluation, of every n-th one after it, and of its last one so far.
#[derive(Debug)]
pub struct Curve<P> {
    first: Option<P>,
    /// Every n-th one after the first.
    points: Vec<P>,
    last: Option<P>,
    /// The n; doubled when there is no room for another point.
    every: u64,
    /// Number of points seen.
    seen: u64,
    /// Limit on the points, the first and the last one included.
    most: usize,
    memory: Arc<HistoryMemory>,
    held: usize,
}

impl<P: Point> Curve<P> {
    /// An empty curve of at most `most` points, the first and the last one included.
    pub fn new(most: usize, memory: Arc<HistoryMemory>) -> Self {
        Self {
            first: None,
            points: Vec::new(),
            last: None,
            every: 1,
            seen: 0,
            most,
            memory,
            held: 0,
        }
    }

    /// Adds the next points of the run. The cost is that of the points that are stored, not of those given.
    pub fn add(&mut self, steps: &[P]) {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return;
        };
        self.first.get_or_insert(*first);
        self.last = Some(*last);
        let begin = self.seen;
        self.seen += steps.len() as u64;
        let mut next = begin.max(1).next_multiple_of(self.every);
        while next < self.seen {
            if self.has_room(self.seen - next) {
                // Below `steps.len()`, a usize.
                self.points.push(steps[(next - begin) as usize]);
                next = next.saturating_add(self.every);
            } else {
                self.thin();
                next = next.next_multiple_of(self.every);
            }
        }
    }

    /// Takes `bytes` more for the record that the curve belongs to; returns whether there is room.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let taken = self.memory.take(bytes, 0);
        self.held += if taken { bytes } else { 0 };
        taken
    }

    /// The points in order, and the n of every n-th one.
    pub fn points(&self) -> (Vec<P>, u64) {
        let inner = self.first.iter().chain(&self.points);
        let shown = self.points.last().or(self.first.as_ref());
        let last = self
            .last
            .as_ref()
            .filter(|last| shown.is_some_and(|shown| shown.step() < last.step()));
        (inner.chain(last).copied().collect(), self.every)
    }

    /// The last one so far.
    pub fn last(&self) -> Option<&P> {
        self.last.as_ref()
    }

    /// Whether there is room for another point; `more` steps are at hand.
    fn has_room(&mut self, more: u64) -> bool {
        let (length, capacity) = (self.points.len(), self.points.capacity());
        // Every step of a short run is a point, the last included.
        let others = if self.every == 1 { 1 } else { 2 };
        let most = self.most.saturating_sub(others);
        if length < capacity.min(most) {
            return true;
        }
        // No more than the steps at hand at first, so that a short run takes what it needs.
        let due = usize::try_from(more.div_ceil(self.every)).unwrap_or(usize::MAX);
        let wanted = due.max(2 * length).min(most);
        let bytes = wanted.saturating_sub(capacity) * size_of::<P>();
        if wanted <= length || !self.memory.take(bytes, self.held) {
            return false;
        }
        self.held += bytes;
        self.points.reserve_exact(wanted - length);
        true
    }

    /// Drops every second point, and every second one to come.
    fn thin(&mut self) {
        self.every = self.every.saturating_mul(2);
        let mut index = 0;
        self.points.retain(|_| {
            index += 1;
            index % 2 == 0
        });
    }
}

impl<P> Drop for Curve<P> {
    fn drop(&mut self) {
        self.memory.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64) -> StepMetrics {
        StepMetrics {
            step,
            epoch: 1,
            loss: 1.0,
            accuracy: None,
            gradient_norm: 1.0,
            learning_rate: 0.1,
        }
    }

    /// The steps that a run of `count` steps leaves, reported `size` at a time, and their distance.
    fn left(most: usize, memory: &Arc<HistoryMemory>, count: u64, size: usize) -> (Vec<u64>, u64) {
        let mut curve = Curve::new(most, Arc::clone(memory));
        let steps: Vec<_> = (1..=count).map(metrics).collect();
        for steps in steps.chunks(size) {
            curve.add(steps);
        }
        let (points, every) = curve.points();
        (points.iter().map(|point| point.step).collect(), every)
    }

    #[test]
    fn a_short_run_is_stored_as_it_is() {
        let memory = HistoryMemory::new(1 << 20);
        for count in 0..=16 {
            for size in [1, 3, 100] {
                let (steps, every) = left(16, &memory, count, size);
                assert_eq!(steps, (1..=count).collect::<Vec<_>>());
                assert_eq!(every, 1);
            }
        }
    }

    #[test]
    fn a_long_run_is_thinned_evenly_and_has_its_first_and_its_last_step() {
        let memory = HistoryMemory::new(1 << 20);
        for count in [17, 18, 100, 1_000, 65_537] {
            let (one_by_one, _) = left(16, &memory, count, 1);
            for size in [1, 7, 1_024] {
                let (steps, every) = left(16, &memory, count, size);
                assert_eq!(steps, one_by_one, "however the steps are reported");
                assert!(steps.len() <= 16 && steps.len() >= 8, "{steps:?}");
                assert_eq!((steps[0], steps.last()), (1, Some(&count)));
                for (index, step) in steps[..steps.len() - 1].iter().enumerate() {
                    assert_eq!(*step, 1 + index as u64 * every);
                }
            }
        }
    }

    #[test]
    fn without_memory_the_first_and_the_last_step_are_left() {
        let memory = HistoryMemory::new(0);
        assert_eq!(left(16, &memory, 1, 1).0, [1]);
        assert_eq!(left(16, &memory, 100_000, 1).0, [1, 100_000]);
        assert_eq!(left(16, &memory, 100_000, 512).0, [1, 100_000]);
        assert_eq!(left(2, &HistoryMemory::new(1 << 20), 9, 4).0, [1, 9]);
    }

    #[test]
    fn memory_is_given_back_and_greedy_curves_leave_some() {
        let memory = HistoryMemory::new(1 << 20);
        let steps: Vec<_> = (1..=500).map(metrics).collect();
        let curves: Vec<_> = (0..200)
            .map(|_| {
                let mut curve = Curve::new(500, Arc::clone(&memory));
                curve.add(&steps);
                curve
            })
            .collect();
        let used = memory.used.load(Ordering::Relaxed);
        assert!(used < 1 << 20, "{used}");
        assert!(curves[199].points().0.len() > 2, "the last one has a share");
        drop(curves);
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }
}
