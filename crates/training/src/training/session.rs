//! What is known of a session besides its models.

pub mod leases;
mod record;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::names::SessionName;
use super::request_log::RequestId;
pub use record::{ReadRecord, RecordError};

/// A reading of the clocks. The caller takes it: pure code holds no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the server's start by a clock that never jumps. Leases are measured by it.
    pub uptime: Duration,
    /// The date, which an operator or a time server may set to anything. It is shown, and nothing depends on it.
    pub date: SystemTime,
}

/// What may be done with a model, or with all models of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Everything.
    #[default]
    Full,
    /// Grading against it: nothing that shows its numbers, trains or changes it.
    CompareOnly,
}

/// What is kept of a session besides its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The CreateSession request that made it, if that wants to be done once.
    pub made_by: Option<RequestId>,
    /// When it was made.
    pub created: SystemTime,
    /// How long it lives without a call.
    pub ttl: Duration,
    /// What may be done with its models.
    pub access: Access,
    /// How often its COMPARE_ONLY models were compared with.
    pub compare_tries: u64,
}

/// What is told about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name.
    pub name: SessionName,
    /// How many models it holds.
    pub models: usize,
    /// When it was made.
    pub created: SystemTime,
    /// The date at which it expires unless a call renews it.
    pub expires: SystemTime,
    /// The time until then.
    pub remaining: Duration,
    /// What may be done with its models.
    pub access: Access,
}
