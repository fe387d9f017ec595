//! What a stream's reader gets to see of a run: a bounded buffer between training, which never waits, and a reader,
//! who may. Metrics are thinned when the reader falls behind; the beginning and the end of a run never are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::run_event::{RunEnd, RunStart};
use crate::training::StepMetrics;

/// Metrics in one message at most; about 200 KB of JSON.
const LARGEST_MESSAGE: usize = 2048;

/// Runs that a watcher may lag behind before its stream is ended.
const MOST_EVENTS: usize = 4096;

/// One event of a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// It has begun.
    Started(RunStart),
    /// It has taken steps.
    Steps(Vec<StepMetrics>),
    /// It has ended; with how many metrics were left out.
    Ended(RunEnd, u64),
}

/// The reader lags too many runs behind; what it missed is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow;

/// The buffer of one reader.
#[derive(Debug)]
pub struct Feed {
    state: Mutex<State>,
    changed: Notify,
    /// Every n-th step of a run is reported.
    every: u64,
    /// Metrics kept at most.
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    /// Metrics among the events.
    buffered: usize,
    /// Of the steps to report, one in this many is kept; doubled when the buffer is full, 1 again when it is empty.
    stride: u64,
    /// Steps of the run under way that this feed has been offered.
    offered: u64,
    dropped: u64,
    /// The last step, where it was not reported: due at the end.
    last: Option<StepMetrics>,
    too_slow: bool,
}

impl Feed {
    /// An empty feed that reports every `every`-th step and keeps at most `capacity` metrics.
    pub fn new(every: u64, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                stride: 1,
                ..State::default()
            }),
            changed: Notify::new(),
            every,
            capacity,
        })
    }

    /// A run begins.
    pub fn start(&self, start: RunStart) {
        let mut state = self.lock();
        state.offered = 0;
        state.dropped = 0;
        state.last = None;
        state.push(Event::Started(start));
        drop(state);
        self.changed.notify_one();
    }

    /// The run has taken steps.
    pub fn steps(&self, steps: &[StepMetrics]) {
        let mut state = self.lock();
        for metrics in steps {
            state.offered += 1;
            let due = state.offered == 1 || state.offered.is_multiple_of(self.every);
            state.last = Some(*metrics);
            if !due {
                continue;
            }
            if state.offered != 1 && !(state.offered / self.every).is_multiple_of(state.stride) {
                state.dropped += 1;
                continue;
            }
            state.last = None;
            state.push_metrics(*metrics);
            if state.buffered >= self.capacity {
                state.thin();
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The run has ended.
    pub fn end(&self, end: RunEnd) {
        let mut state = self.lock();
        if let Some(last) = state.last.take() {
            state.push_metrics(last);
        }
        let dropped = state.dropped;
        state.push(Event::Ended(end, dropped));
        drop(state);
        self.changed.notify_one();
    }

    /// The next event, as soon as there is one.
    ///
    /// # Errors
    /// The reader is too far behind.
    pub async fn next(&self) -> Result<Event, TooSlow> {
        loop {
            // Registered before the look, so that a change between the two is not missed.
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
        } else {
            self.events.push_back(event);
        }
    }

    fn push_metrics(&mut self, metrics: StepMetrics) {
        if let Some(Event::Steps(steps)) = self.events.back_mut()
            && steps.len() < LARGEST_MESSAGE
        {
            steps.push(metrics);
        } else {
            self.push(Event::Steps(vec![metrics]));
        }
        self.buffered += 1;
    }

    /// Keeps every second of the buffered metrics, and of those to come. A run's first step stays.
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
        Some(Ok(event))
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

    fn seen(feed: &Feed) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some(Ok(event)) = feed.lock().pop() {
            if let Event::Steps(steps) = event {
                seen.extend(steps.iter().map(|metrics| metrics.step));
            }
        }
        seen
    }

    #[test]
    fn every_step_reaches_a_reader_who_keeps_up() {
        let feed = Feed::new(1, 16);
        let mut all = Vec::new();
        for step in 1..=100 {
            feed.steps(&[metrics(step)]);
            all.extend(seen(&feed));
        }
        assert_eq!(all, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn a_stalled_reader_costs_bounded_memory_and_is_told_what_it_missed() {
        let feed = Feed::new(1, 16);
        for step in 1..=100_000 {
            feed.steps(&[metrics(step)]);
            assert!(feed.lock().buffered <= 16);
        }
        feed.end(RunEnd::failed());
        let dropped = feed.lock().dropped;
        let seen = seen(&feed);
        assert_eq!(seen.first(), Some(&1));
        assert_eq!(seen.last(), Some(&100_000));
        assert!(seen.is_sorted());
        // The last step was left out when it came and reported at the end.
        assert!((99_998..=100_001).contains(&(dropped + seen.len() as u64)));
    }

    #[test]
    fn every_nth_step_is_reported_and_the_first_and_the_last() {
        let feed = Feed::new(10, 100);
        let steps: Vec<_> = (1..=25).map(metrics).collect();
        feed.steps(&steps);
        feed.end(RunEnd::failed());
        assert_eq!(seen(&feed), [1, 10, 20, 25]);
    }
}
