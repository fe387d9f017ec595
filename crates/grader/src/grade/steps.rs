//! Work that can stop between its steps: an `async` function that pauses after each step, and the code that polls it.
//! It needs no executor and no waker; the compiler turns the function into a struct that holds its state.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Work whose caller decides when it takes its next step.
pub(super) struct Steps<V>(Pin<Box<dyn Future<Output = V> + Send>>);

impl<V> Steps<V> {
    pub(super) fn new(work: impl Future<Output = V> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }

    /// Takes one step; returns the result after the last one.
    pub(super) fn advance(&mut self) -> Option<V> {
        match self
            .0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}

/// The end of a step: returns control to the caller of [`Steps::advance`].
pub(super) async fn pause() {
    let mut paused = false;
    poll_fn(move |_| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        Poll::Pending
    })
    .await;
}

/// Takes all steps.
pub(super) fn complete<V>(work: impl Future<Output = V>) -> V {
    let mut work = pin!(work);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(value) = work.as_mut().poll(&mut context) {
            return value;
        }
    }
}
