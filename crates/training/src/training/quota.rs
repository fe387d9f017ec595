//! How much a registry keeps, and what it says where that is not enough.

use std::time::Duration;

use super::names::{ModelName, SessionName};
use super::request_log::RequestIdReused;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryLimits {
    /// Sessions in all.
    pub sessions: usize,
    /// Models in all.
    pub models: usize,
    /// Models of one session.
    pub models_per_session: usize,
    /// Bytes of parameters and optimizer state in all.
    pub bytes: usize,
    /// Bytes of parameters and optimizer state of one session's models.
    pub bytes_per_session: usize,
    /// Sessions that callers from one address made.
    pub sessions_per_owner: usize,
    /// Models in the sessions that callers from one address made.
    pub models_per_owner: usize,
    /// Bytes of those models.
    pub bytes_per_owner: usize,
    /// How long a session without a model lives without a call, unless it asked for a time of its own.
    pub empty_session_ttl: Duration,
    /// How long a session lives without a call, and the most that one may ask for.
    pub session_ttl: Duration,
    /// CreateModel requests that a session remembers.
    pub requests_per_session: usize,
}

/// A quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Sessions in all.
    Sessions,
    /// Models in all.
    Models,
    /// Models of one session.
    ModelsPerSession,
    /// Bytes in all.
    Bytes,
    /// Bytes of one session.
    BytesPerSession,
    /// Calls of one session that compare with COMPARE_ONLY models.
    CompareTries,
    /// Sessions that callers from one address made.
    SessionsPerAddress,
    /// Models in those sessions.
    ModelsPerAddress,
    /// Bytes of those models.
    BytesPerAddress,
}

/// A limit that a model is above, because the limit was lowered after the model was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// Which limit.
    pub limit: Limit,
    /// What counts against it.
    pub found: usize,
    /// What is allowed now.
    pub allowed: usize,
}

/// A limit on one model, or on what the registry keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Layers of a model.
    Layers,
    /// Units of a layer, or features.
    Units,
    /// Parameters of a model.
    Parameters,
    /// Of the registry.
    Quota(Quota),
}

/// Why the registry refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No such session, or it has expired.
    #[error("there is no session {0}; it may have expired or been deleted")]
    NoSession(SessionName),
    /// No such model in it.
    #[error("there is no model {0}")]
    NoModel(ModelName),
    /// The session's record is damaged.
    #[error("the record of {name} cannot be used: {reason}")]
    SessionDamaged {
        /// Which session.
        name: SessionName,
        /// What is wrong with the record.
        reason: String,
    },
    /// The session's id is taken.
    #[error("{0} exists already")]
    SessionTaken(SessionName),
    /// The model's id is taken.
    #[error("{0} exists already")]
    ModelTaken(ModelName),
    /// A quota is used up.
    #[error("{quota:?}: {limit} are allowed")]
    Quota {
        /// Which.
        quota: Quota,
        /// How much is allowed.
        limit: usize,
    },
    /// The request's id belongs to another request.
    #[error(transparent)]
    Reused(#[from] RequestIdReused),
}
