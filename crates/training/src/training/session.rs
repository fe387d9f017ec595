//! A session without its models.

pub mod leases;
mod record;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::names::SessionName;
use super::request_log::RequestId;
pub use record::{ReadRecord, RecordError};

/// A reading of the clocks, passed in by the caller because pure code holds no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the server started, by a monotonic clock. Leases are measured by it.
    pub uptime: Duration,
    /// The date, which may jump in either direction. It is only shown, and nothing depends on it.
    pub date: SystemTime,
}

/// The access to a model, or to all models of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// All requests.
    #[default]
    Full,
    /// Grading against it only: no request shows its numbers, trains or changes it.
    CompareOnly,
}

/// The persistent part of a session, without its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The CreateSession request that created it, if it has a request id.
    pub made_by: Option<RequestId>,
    /// The creation time.
    pub created: SystemTime,
    /// How long it survives without a call.
    pub ttl: Duration,
    /// The access to its models.
    pub access: Access,
    /// The number of comparisons with its COMPARE_ONLY models.
    pub compare_tries: u64,
    /// The person who owns it; `None` if it was created without an identity.
    pub owner: Option<Arc<str>>,
}

/// A description of a session for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The session's name.
    pub name: SessionName,
    /// The number of its models.
    pub models: usize,
    /// The creation time.
    pub created: SystemTime,
    /// The date at which it expires unless a call renews its lease.
    pub expires: SystemTime,
    /// The time until then.
    pub remaining: Duration,
    /// The person who owns it; `None` if it was created without an identity.
    pub owner: Option<Arc<str>>,
    /// The access to its models.
    pub access: Access,
}
