//! A bounded buffer between training, which never waits, and a stream's reader, which may be slow. When the reader
//! falls behind, metrics are thinned; the beginning and the end of a run are never dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::host::limits::memory::Reservation;
use crate::host::refused::Refused;
use crate::host::runs::event::{RunEnd, RunStart};
use crate::host::runs::held_out::HeldOutMetrics;
use crate::training::StepMetrics;

/// Interval between reports to readers; a large backlog is reported earlier.
pub const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Number of buffered metrics that wakes the reader early. To wake it costs more than a step of a small network, so that a
/// reader of few steps of a fast run must not be woken for a handful at a time.
const BACKLOG: usize = 512;

/// Most metrics in one message; about 200 KB of JSON.
const LARGEST_MESSAGE: usize = 2048;

/// Encoded size of one step's metrics, roughly.
const ENCODED: usize = 72;

/// Most bytes of messages behind the feed while a reader is stalled: one being written, one being split, and the HTTP/2
/// buffers.
const HELD_UP: usize = 2 * LARGEST_MESSAGE * ENCODED + (128 << 10);

/// Size of a feed without metrics, in bytes: the feed itself and a run's beginning and end.
const FIXED: usize = 64 << 10;

/// Most events that a watcher may lag behind before its stream is ended.
const MOST_EVENTS: usize = 4096;

/// Most evaluations that are buffered for a reader; beyond it the oldest is dropped.
const MOST_EVALUATIONS: usize = 1024;

/// An event of a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run has begun.
    Started(RunStart),
    /// The run has taken steps.
    Steps(Vec<StepMetrics>),
    /// The run has been evaluated.
    HeldOut(HeldOutMetrics),
    /// The model was changed by a call that is no run.
    Changed,
    /// The run has ended; with the number of metrics dropped.
    Ended(RunEnd, u64),
}

/// The reader lags too many runs behind, and has missed events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow;

impl From<TooSlow> for Refused {
    fn from(TooSlow: TooSlow) -> Self {
        Self::SlowReader
    }
}

/// The buffer for one reader.
#[derive(Debug)]
pub struct Feed {
    state: Mutex<State>,
    changed: Notify,
    /// Every n-th step of a run is reported.
    every: u64,
    /// Most metrics buffered.
    capacity: usize,
    _memory: Reservation,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    /// Number of metrics among the events.
    buffered: usize,
    /// Number of evaluations among the events.
    evaluations: usize,
    /// One in `stride` of the reported steps is buffered; doubled when the buffer is full, reset to 1 when it is empty.
    stride: u64,
    /// Number of steps of the current run offered to this feed.
    offered: u64,
    dropped: u64,
    /// The last step, if it was not reported; reported at the end.
    last: Option<StepMetrics>,
    /// When the reader was last woken for steps.
    woken: Option<Instant>,
    too_slow: bool,
}

impl Feed {
    /// Most bytes held for a reader of at most `reports` metrics, by a feed that buffers `capacity` of them.
    pub fn bytes(reports: u64, capacity: usize) -> usize {
        let reports = usize::try_from(reports).unwrap_or(usize::MAX);
        // A message under construction may have spare capacity for as many again.
        let kept = reports.min(capacity) + reports.min(LARGEST_MESSAGE);
        FIXED + kept * size_of::<StepMetrics>() + reports.saturating_mul(ENCODED).min(HELD_UP)
    }

    /// An empty feed that reports every `every`-th step and buffers at most `capacity` metrics, in `memory`.
    pub fn new(every: u64, capacity: usize, memory: Reservation) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                stride: 1,
                ..State::default()
            }),
            changed: Notify::new(),
            every,
            capacity,
            _memory: memory,
        })
    }

    /// Reports that a run begins.
    pub fn start(&self, start: RunStart) {
        let mut state = self.lock();
        state.offered = 0;
        state.dropped = 0;
        state.last = None;
        state.push(Event::Started(start));
        drop(state);
        self.changed.notify_one();
    }

    /// Reports steps at the time `now`. Training waits for this call, so it does almost nothing for each step. Steps that do
    /// not wake the reader are read with the next that do, or with the run's end.
    pub fn steps(&self, steps: &[StepMetrics], now: Instant) {
        let mut state = self.lock();
        if self.every == 1 && state.stride == 1 && state.buffered + steps.len() < self.capacity {
            state.offered += steps.len() as u64;
            state.push_all(steps);
        } else {
            state.offer(steps, self.every, self.capacity);
        }
        if state.is_reader_due(now) {
            state.woken = Some(now);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Reports an evaluation.
    pub fn held_out(&self, metrics: HeldOutMetrics) {
        let mut state = self.lock();
        let is_evaluation = |event: &Event| matches!(event, Event::HeldOut(..));
        if state.evaluations >= MOST_EVALUATIONS
            && let Some(oldest) = state.events.iter().position(is_evaluation)
        {
            state.events.remove(oldest);
            state.evaluations -= 1;
            state.dropped += 1;
            state.join(oldest);
        }
        state.evaluations += 1;
        state.push(Event::HeldOut(metrics));
        drop(state);
        self.changed.notify_one();
    }

    /// Reports that a call that is no run has changed the model. A reader that has not seen an earlier change sees one.
    pub fn model_changed(&self) {
        let mut state = self.lock();
        if !matches!(state.events.back(), Some(Event::Changed)) {
            state.push(Event::Changed);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Reports that the run has ended.
    pub fn end(&self, end: RunEnd) {
        let mut state = self.lock();
        if let Some(last) = state.last.take() {
            state.push_all(&[last]);
        }
        let dropped = state.dropped;
        state.push(Event::Ended(end, dropped));
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// The reader is too far behind.
    pub async fn next(&self) -> Result<Event, TooSlow> {
        loop {
            // Registered before the check, so that a change in between is not missed.
            let changed = self.changed.notified();
            if let Some(next) = self.lock().pop() {
                return next;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, event: Event) {
        if self.events.len() >= MOST_EVENTS {
            self.too_slow = true;
        }
        if self.too_slow {
            self.events.clear();
            self.buffered = 0;
            self.evaluations = 0;
        } else {
            self.events.push_back(event);
        }
    }

    /// Whether what is buffered is worth a message.
    fn is_reader_due(&self, now: Instant) -> bool {
        let waits = self
            .woken
            .is_none_or(|woken| now.duration_since(woken) >= REPORT_EVERY);
        self.buffered >= BACKLOG || (self.buffered > 0 && waits)
    }

    /// Buffers the steps that are due.
    fn offer(&mut self, mut steps: &[StepMetrics], every: u64, capacity: usize) {
        while let Some(last) = steps.last() {
            // The first step of a run is due, then every n-th.
            let skipped = match self.offered {
                0 => 0,
                offered => every - 1 - offered % every,
            };
            let due = usize::try_from(skipped).ok();
            let Some((metrics, at)) = due.and_then(|at| Some((steps.get(at)?, at))) else {
                self.offered += steps.len() as u64;
                self.last = Some(*last);
                return;
            };
            steps = &steps[at + 1..];
            self.offered += skipped + 1;
            if self.offered != 1 && !(self.offered / every).is_multiple_of(self.stride) {
                self.dropped += 1;
                self.last = Some(*metrics);
                continue;
            }
            self.push_all(std::slice::from_ref(metrics));
            if self.buffered >= capacity {
                self.thin();
            }
        }
    }

    /// Buffers all of these.
    fn push_all(&mut self, mut steps: &[StepMetrics]) {
        self.last = None;
        self.buffered += steps.len();
        if let Some(Event::Steps(before)) = self.events.back_mut() {
            let room = LARGEST_MESSAGE.saturating_sub(before.len());
            let (first, rest) = steps.split_at(steps.len().min(room));
            if before.capacity() < before.len() + first.len() {
                // Doubles like a vector, but to no more than the size of a message.
                let whole = (2 * before.len()).clamp(before.len() + first.len(), LARGEST_MESSAGE);
                before.reserve_exact(whole - before.len());
            }
            before.extend_from_slice(first);
            steps = rest;
        }
        for message in steps.chunks(LARGEST_MESSAGE) {
            self.push(Event::Steps(message.to_vec()));
        }
        if self.too_slow {
            self.buffered = 0;
        }
    }

    /// Joins the metrics before and after a dropped event into one message, if they fit: a reader that is far behind has
    /// no more messages to read than evaluations.
    fn join(&mut self, at: usize) {
        let Some(before) = at.checked_sub(1) else {
            return;
        };
        let (Some(Event::Steps(first)), Some(Event::Steps(second))) =
            (self.events.get(before), self.events.get(at))
        else {
            return;
        };
        if first.len() + second.len() > LARGEST_MESSAGE {
            return;
        }
        if let Some(Event::Steps(second)) = self.events.remove(at)
            && let Some(Event::Steps(first)) = self.events.get_mut(before)
        {
            first.extend(second);
        }
    }

    /// Drops every second buffered metric, and every second one to come. A run's first step stays.
    fn thin(&mut self) {
        self.stride = self.stride.saturating_mul(2);
        let before = self.buffered;
        self.buffered = 0;
        for event in &mut self.events {
            if let Event::Steps(steps) = event {
                let mut index = 0;
                steps.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.buffered += steps.len();
                // Otherwise the memory of dropped metrics would stay allocated.
                steps.shrink_to_fit();
            }
        }
        self.dropped += (before - self.buffered) as u64;
    }

    fn pop(&mut self) -> Option<Result<Event, TooSlow>> {
        let Some(event) = self.events.pop_front() else {
            return self.too_slow.then_some(Err(TooSlow));
        };
        if let Event::Steps(steps) = &event {
            self.buffered -= steps.len();
            if self.buffered == 0 {
                self.stride = 1;
            }
        }
        if let Event::HeldOut(..) = event {
            self.evaluations -= 1;
        }
        Some(Ok(event))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

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

    fn feed(every: u64, capacity: usize) -> Arc<Feed> {
        Feed::new(every, capacity, Reservation::default())
    }

    fn seen(feed: &Feed) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some(Ok(event)) = feed.lock().pop() {
            if let Event::Steps(steps) = event {
                seen.extend(steps.iter().map(|metrics| metrics.step));
            }
        }
        seen
    }

    fn end() -> RunEnd {
        let start = RunStart {
            step: 0,
            planned_steps: 0,
            resumed_steps: 0,
            replayed: false,
            queue_position: 0,
        };
        RunEnd::failed(&start, 0)
    }

    /// An evaluation after each step, by a reader that looks only at the end.
    #[test]
    fn a_reader_that_is_far_behind_gets_the_latest_evaluations_of_a_long_run() {
        let feed = feed(1, 1 << 14);
        for step in 1..=10_000 {
            feed.steps(&[metrics(step)], Instant::now());
            feed.held_out(HeldOutMetrics {
                step,
                epoch: step,
                loss: 1.0,
                accuracy: None,
                determination: None,
                is_best: false,
            });
        }
        let (mut evaluated, mut steps) = (Vec::new(), Vec::new());
        while let Some(event) = feed.lock().pop() {
            match event.expect("the reader is not too slow") {
                Event::HeldOut(metrics) => evaluated.push(metrics.step),
                Event::Steps(batch) => steps.extend(batch.iter().map(|metrics| metrics.step)),
                Event::Started(_) | Event::Changed | Event::Ended(..) => panic!("not reported"),
            }
        }
        let first = 10_001 - MOST_EVALUATIONS as u64;
        assert_eq!(evaluated, (first..=10_000).collect::<Vec<_>>());
        assert_eq!(steps, (1..=10_000).collect::<Vec<_>>());
    }

    #[test]
    fn every_step_reaches_a_reader_who_keeps_up() {
        let feed = feed(1, 16);
        let mut all = Vec::new();
        for step in 1..=100 {
            feed.steps(&[metrics(step)], Instant::now());
            all.extend(seen(&feed));
        }
        assert_eq!(all, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn a_stalled_reader_costs_bounded_memory_and_is_told_what_it_missed() {
        let feed = feed(1, 16);
        for step in 1..=100_000 {
            feed.steps(&[metrics(step)], Instant::now());
            let state = feed.lock();
            assert!(state.buffered <= 16);
            let held = state.events.iter().map(|event| match event {
                Event::Steps(steps) => steps.capacity(),
                Event::Started(_) | Event::HeldOut(_) | Event::Changed | Event::Ended(..) => 0,
            });
            assert!(held.sum::<usize>() <= 2 * 16);
        }
        feed.end(end());
        let dropped = feed.lock().dropped;
        let seen = seen(&feed);
        assert_eq!(seen.first(), Some(&1));
        assert_eq!(seen.last(), Some(&100_000));
        assert!(seen.is_sorted());
        // The last step was dropped on arrival and reported at the end.
        assert!((99_998..=100_001).contains(&(dropped + seen.len() as u64)));
    }

    #[test]
    fn steps_that_come_together_are_seen_like_steps_that_come_one_by_one() {
        for every in [1, 2, 7, 100] {
            for capacity in [8, 64, 8192] {
                for size in [1, 3, 50, 5000] {
                    let (together, alone) = (feed(every, capacity), feed(every, capacity));
                    let steps: Vec<_> = (1..=5000).map(metrics).collect();
                    for some in steps.chunks(size) {
                        together.steps(some, Instant::now());
                    }
                    for one in &steps {
                        alone.steps(std::slice::from_ref(one), Instant::now());
                    }
                    for feed in [&together, &alone] {
                        feed.end(end());
                    }
                    let dropped = [&together, &alone].map(|feed| feed.lock().dropped);
                    assert_eq!(dropped[0], dropped[1]);
                    let sizes = |feed: &Feed| feed.lock().events.len();
                    assert_eq!(sizes(&together), sizes(&alone), "in messages as large");
                    assert_eq!(seen(&together), seen(&alone), "{every} {capacity} {size}");
                }
            }
        }
    }

    #[test]
    fn a_reader_of_few_steps_of_a_fast_run_is_woken_for_many_at_once_and_waits_no_longer_than_others()
     {
        let feed = feed(100, 8192);
        // Whether it was woken since it was asked last.
        let is_woken = || feed.changed.notified().now_or_never().is_some();
        let steps: Vec<_> = (1..=1000).map(metrics).collect();
        let began = Instant::now();
        feed.steps(&steps, began);
        assert!(is_woken(), "for the first");
        for round in 1..=40 {
            feed.steps(&steps, began + Duration::from_millis(1));
            assert!(!is_woken(), "round {round}");
        }
        feed.steps(&steps, began + REPORT_EVERY);
        assert!(is_woken(), "it has waited");
        for _ in 0..10 {
            feed.steps(&steps, began + REPORT_EVERY);
        }
        assert!(is_woken(), "there are {} metrics", feed.lock().buffered);
        assert_eq!(seen(&feed).len(), 52 * 10 + 1);
        feed.steps(&steps[..50], began + 2 * REPORT_EVERY);
        assert!(!is_woken(), "there is none to read");
        feed.steps(&steps[..1], began + REPORT_EVERY);
        feed.end(end());
        assert!(is_woken(), "for the end");
    }

    #[test]
    fn every_nth_step_is_reported_and_the_first_and_the_last() {
        let feed = feed(10, 100);
        let steps: Vec<_> = (1..=25).map(metrics).collect();
        feed.steps(&steps, Instant::now());
        feed.end(end());
        assert_eq!(seen(&feed), [1, 10, 20, 25]);
    }
}
