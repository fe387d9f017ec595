//! Refusals: why the host rejects a call, grouped by what the caller can do about it. The edge maps them to gRPC
//! statuses.

use std::io;
use std::time::Duration;

use backpropd_identity::Role;

use crate::fault::Violations;
use crate::training::{
    BeginError, DatasetName, Divergence, ModelName, OverLimit, RegistryError, RequestIdReused,
};

/// Why a call was rejected or ended.
#[derive(Clone, Debug)]
pub enum Refused {
    /// Fields of the request are invalid.
    Invalid(Violations),
    /// The run or SetParameters conflicts with the model's history: its step, or an earlier request with the same id.
    Begin(BeginError),
    /// The session or model is missing, its id is taken, or a quota is exhausted.
    Registry(RegistryError),
    /// A resource is temporarily exhausted; retrying later helps.
    Busy {
        /// The setting that limits the resource.
        setting: &'static str,
        /// The setting's value.
        limit: u64,
        /// The exhausted resource, and what to do.
        message: String,
    },
    /// The request exceeds a limit and would do so on an idle server.
    Limit {
        /// The kind of limit.
        kind: LimitKind,
        /// The setting that limits it.
        setting: &'static str,
        /// The setting's value.
        limit: u64,
        /// The requested amount, the allowed amount, and what to do.
        message: String,
    },
    /// The model exceeds a limit that was lowered after its creation.
    OverLimit(ModelName, OverLimit),
    /// The run would exceed the largest possible step.
    TooManySteps {
        /// The model's step.
        step: u64,
        /// Number of steps requested.
        planned: u64,
    },
    /// The call was stopped before its answer was ready.
    Stopped(Stop),
    /// The model has no run with this id, or no longer remembers it.
    NoRun(ModelName, String),
    /// A run was stopped after some of its steps.
    RunStopped {
        /// The reason.
        stop: Stop,
        /// Steps committed for the request.
        steps_done: u64,
        /// The model's step.
        step: u64,
    },
    /// The next step would make the weights non-finite.
    Diverged(Divergence),
    /// A step with given gradients would make the weights non-finite. It has no loss.
    StepDiverged(Divergence),
    /// A stream's reader lags too far behind.
    SlowReader,
    /// The change could not be made durable and was rolled back.
    NotStored(NotStored),
    /// The model cannot be read from disk at the moment.
    NotRead,
    /// The store that this node shares with others cannot be reached at the moment.
    Unreachable,
    /// The model's last commit is damaged; the message says where the files are now.
    Lost(String),
    /// There is no such dataset.
    NoDataset(DatasetName),
    /// The dataset's id is taken.
    DatasetTaken(DatasetName),
    /// A shared dataset cannot be changed.
    SharedDataset(DatasetName),
    /// The dataset cannot be read.
    DatasetUnreadable {
        /// The dataset.
        name: DatasetName,
        /// The cause, without paths of the machine.
        error: String,
    },
    /// The caller's role does not allow what the request asks for.
    NotAllowed {
        /// The caller's role.
        role: Role,
        /// What it asks for.
        what: String,
        /// The roles that may.
        needed: String,
    },
    /// The model's access is COMPARE_ONLY.
    CompareOnly,
    /// The model is COMPARE_ONLY and has no fixed batch.
    NoCompareBatch,
    /// A bug; the log has the cause.
    Bug,
}

/// Kinds of limits that callers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A quota or a per-call limit.
    Quota,
    /// Memory for intermediate values.
    Workspace,
    /// Work in one grading call.
    Grading,
}

/// What stops a call before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller's deadline passed.
    Deadline,
    /// The caller cancelled or disconnected.
    Client,
    /// The server is shutting down.
    Shutdown,
    /// The model was deleted, or its session expired.
    Deleted,
    /// Another node of the cluster has changed the model, so what this one has of it is out of date.
    Moved,
    /// The run exceeded the maximum run time.
    RunTime,
    /// StopTraining stopped the run.
    Requested,
    /// The dataset was deleted.
    DatasetDeleted,
    /// The dataset cannot be read, or its file has changed.
    DatasetUnreadable,
}

/// Why a commit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// The disk or a disk quota is full.
    Full,
    /// A foreign file or folder occupies one of the server's names.
    InTheWay,
    /// The disk failed; the log has details.
    Failed,
    /// Another node of the cluster has changed what this commit builds on.
    Moved,
    /// The shared store did not tell whether it has the commit.
    Unknown,
}

impl NotStored {
    /// Classifies `error` and logs it.
    pub fn of(error: &io::Error) -> Self {
        tracing::error!(%error, "a commit failed and was not acknowledged");
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
    /// The refusal for a full queue.
    pub fn queue_full(setting: &'static str, limit: usize, what: &str) -> Self {
        let message = format!("{what}: {limit} are allowed ({setting}); try again in a second");
        let limit = limit as u64;
        Self::Busy {
            setting,
            limit,
            message,
        }
    }

    /// The refusal for a writer whose turn did not come within `patience`.
    pub fn waited_too_long(model: &ModelName, patience: Duration) -> Self {
        let limit = patience.as_secs();
        let message = format!(
            "{model} was busy with other calls for {limit} s (max_wait_seconds); nothing was changed: retry later"
        );
        Self::Busy {
            setting: "max_wait_seconds",
            limit,
            message,
        }
    }

    /// Whether the session or model does not exist (any more), or the model is lost.
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
            | Self::NoRun(..)
            | Self::RunStopped { .. }
            | Self::Diverged(_)
            | Self::StepDiverged(_)
            | Self::SlowReader
            | Self::NotStored(_)
            | Self::NotRead
            | Self::Unreachable
            | Self::NoDataset(_)
            | Self::DatasetTaken(_)
            | Self::SharedDataset(_)
            | Self::DatasetUnreadable { .. }
            | Self::NotAllowed { .. }
            | Self::CompareOnly
            | Self::NoCompareBatch
            | Self::Bug => false,
        }
    }

    /// A quota or a per-call limit.
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
