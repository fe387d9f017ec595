//! The record of what clients asked for and were told.

use tokio::time::Instant;

/// What a client was told of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    /// It was not done and will not be.
    NotDone,
    /// There is no such object.
    NotFound,
    /// Nothing: perhaps.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Step,
    Create,
    Delete,
}

/// One call of a client, with all its attempts.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub id: u32,
    pub action: Action,
    /// The object, or for a session all below it.
    pub key: String,
    pub begun: Instant,
    /// When the client had its answer, or gave up.
    pub ended: Option<Instant>,
    /// When the node had ended its work on the last attempt, or crashed; a client may have given up before.
    pub worked_until: Option<Instant>,
    pub told: Vec<Told>,
}

impl Call {
    pub fn is_done(&self) -> bool {
        self.told.contains(&Told::Done)
    }

    pub fn may_have_happened(&self) -> bool {
        self.is_done() || self.told.contains(&Told::Unclear) || self.ended.is_none()
    }
}

/// A read that found something.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub key: String,
    pub begun: Instant,
    pub steps: Vec<u32>,
}
