//! Why the host says no. The edge turns a refusal into a status; here it is told apart by what a caller can do about it.

use std::io;
use std::time::Duration;

use crate::fault::Violations;
use crate::training::{
    BeginError, Divergence, ModelName, OverLimit, RegistryError, RequestIdReused,
};

/// A refusal.
#[derive(Clone, Debug)]
pub enum Refused {
    /// Fields of the request are invalid.
    Invalid(Violations),
    /// A run or a change of parameters does not fit what the model has seen.
    Begin(BeginError),
    /// No such session or model, a taken id, a quota.
    Registry(RegistryError),
    /// Something is used up for now; trying again later helps.
    Busy {
        /// The setting that says how much there is.
        setting: &'static str,
        /// Its value.
        limit: u64,
        /// What is used up, and what to do.
        message: String,
    },
    /// The request passes a limit, and would on an idle server, too.
    Limit {
        /// Which kind of limit.
        kind: LimitKind,
        /// The setting.
        setting: &'static str,
        /// Its value.
        limit: u64,
        /// What was asked for, what is allowed, and what to do.
        message: String,
    },
    /// The model is above a limit that was lowered after it was created.
    OverLimit(ModelName, OverLimit),
    /// The run would go beyond the largest step.
    TooManySteps {
        /// The model's step.
        step: u64,
        /// Steps that were asked for.
        planned: u64,
    },
    /// The call was ended before its answer was ready.
    Stopped(Stop),
    /// A run was ended after some steps.
    RunStopped {
        /// What ended it.
        stop: Stop,
        /// Steps committed for the request.
        steps_done: u64,
        /// The model's step.
        step: u64,
    },
    /// The next weights of a run would not be finite.
    Diverged(Divergence),
    /// The reader of a stream lags too far behind.
    SlowReader,
    /// The change could not be made durable and was taken back.
    NotStored(NotStored),
    /// The disk does not read the model now.
    NotRead,
    /// The last commit of a model is damaged; the message says what became of it.
    Lost(String),
    /// The model is for grading only.
    CompareOnly,
    /// The model is for grading only, and no batch was fixed for it.
    NoCompareBatch,
    /// A bug. The log has the cause.
    Bug,
}

/// Kinds of limits, as far as callers tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A quota or a limit on one call.
    Quota,
    /// The memory for intermediate quantities.
    Workspace,
    /// The work of grading.
    Grading,
}

/// What ends a call before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller's deadline passed.
    Deadline,
    /// The caller cancelled or disconnected.
    Client,
    /// The server stops.
    Shutdown,
    /// The model was deleted, or its session expired.
    Deleted,
    /// The run took longer than a run may.
    RunTime,
}

/// Why a commit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// The disk or a quota on it is full.
    Full,
    /// A foreign file or folder has the name of one of the server's.
    InTheWay,
    /// The disk failed; the log says how.
    Failed,
}

impl NotStored {
    /// The kind of failure that `error` is, which is logged.
    pub fn of(error: &io::Error) -> Self {
        tracing::error!(%error, "a commit failed; nothing of it was acknowledged");
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        let in_the_way = [
            io::ErrorKind::AlreadyExists,
            io::ErrorKind::DirectoryNotEmpty,
            io::ErrorKind::IsADirectory,
            io::ErrorKind::NotADirectory,
        ];
        if full.contains(&error.kind()) {
            Self::Full
        } else if in_the_way.contains(&error.kind()) {
            Self::InTheWay
        } else {
            Self::Failed
        }
    }
}

impl Refused {
    /// A queue that is full.
    pub fn queue_full(setting: &'static str, limit: usize, what: &str) -> Self {
        let message = format!("{what}: {limit} are allowed ({setting}); try again in a second");
        let limit = limit as u64;
        Self::Busy {
            setting,
            limit,
            message,
        }
    }

    /// A turn to change `model` that did not come in time.
    pub fn waited_too_long(model: &ModelName, patience: Duration) -> Self {
        let limit = patience.as_secs();
        let message = format!(
            "{model} was busy with other calls for {limit} s (max_wait_seconds), and nothing was done: send the request \
             again later"
        );
        Self::Busy {
            setting: "max_wait_seconds",
            limit,
            message,
        }
    }

    /// Whether there is no such session or model (any more), or a model is lost.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Registry(error) => matches!(
                error,
                RegistryError::NoSession(_)
                    | RegistryError::NoModel(_)
                    | RegistryError::SessionDamaged { .. }
            ),
            Self::Lost(_) | Self::Stopped(Stop::Deleted) => true,
            Self::Invalid(_)
            | Self::Begin(_)
            | Self::Busy { .. }
            | Self::Limit { .. }
            | Self::OverLimit(..)
            | Self::TooManySteps { .. }
            | Self::Stopped(_)
            | Self::RunStopped { .. }
            | Self::Diverged(_)
            | Self::SlowReader
            | Self::NotStored(_)
            | Self::NotRead
            | Self::CompareOnly
            | Self::NoCompareBatch
            | Self::Bug => false,
        }
    }

    /// A quota or a limit on one call.
    pub fn quota(setting: &'static str, limit: u64, message: String) -> Self {
        Self::Limit {
            kind: LimitKind::Quota,
            setting,
            limit,
            message,
        }
    }
}

impl From<Violations> for Refused {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl From<BeginError> for Refused {
    fn from(error: BeginError) -> Self {
        Self::Begin(error)
    }
}

impl From<RequestIdReused> for Refused {
    fn from(error: RequestIdReused) -> Self {
        Self::Begin(BeginError::Reused(error))
    }
}

impl From<RegistryError> for Refused {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<NotStored> for Refused {
    fn from(error: NotStored) -> Self {
        Self::NotStored(error)
    }
}
