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

impl Operation {
    /// All operations.
    pub const ALL: [Self; 6] = [
        Self::Get,
        Self::Put,
        Self::List,
        Self::Delete,
        Self::Upload,
        Self::Download,
    ];

    /// Its name in a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Unchanged,
        Self::Missing,
        Self::Refused,
        Self::Failed,
    ];

    /// Its name in a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Missing => "missing",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Hears of each request, on the task that made it.
pub trait Watch: Send + Sync {
    /// A request has ended.
    fn request(&self, operation: Operation, took: Duration, outcome: Outcome);

    /// The outcome of a write had to be read back, because the store's answer did not tell it.
    fn read_back(&self) {}

    /// A commit was lost to another node, or another node has committed on top of it.
    fn moved(&self) {}
}

/// Hears nothing.
pub(crate) struct NoWatch;

impl Watch for NoWatch {
    fn request(&self, _: Operation, _: Duration, _: Outcome) {}
}
