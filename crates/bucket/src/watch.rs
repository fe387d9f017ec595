//! An observer of the requests, for metrics.

use std::time::Duration;

/// A request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A read of one object.
    Get,
    /// A conditional write of one object.
    Put,
    /// A page of a listing.
    List,
    /// The removal of one object.
    Delete,
    /// A write of a file, in parts.
    Upload,
    /// A read into a file.
    Download,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As asked for.
    Done,
    /// A conditional read found the version at hand.
    Unchanged,
    /// There is no such object.
    Missing,
    /// The condition of a write did not hold.
    Refused,
    /// Everything else.
    Failed,
}

/// Hears of each request, on the task that made it.
pub trait Watch: Send + Sync {
    /// A request has ended.
    fn request(&self, operation: Operation, took: Duration, outcome: Outcome);
}

/// Hears nothing.
pub(crate) struct NoWatch;

impl Watch for NoWatch {
    fn request(&self, _: Operation, _: Duration, _: Outcome) {}
}
