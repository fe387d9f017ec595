//! Quotas of a registry, and the errors when they are exceeded.

use std::time::Duration;

use super::names::{ModelName, SessionName};
use super::request_log::RequestIdReused;

/// The quotas of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryLimits {
    /// Sessions in total.
    pub sessions: usize,
    /// Models in total.
    pub models: usize,
    /// Models of one session.
    pub models_per_session: usize,
    /// Bytes of parameters and optimizer state in total.
    pub bytes: usize,
    /// Bytes of parameters and optimizer state of one session's models.
    pub bytes_per_session: usize,
    /// Sessions created from one address.
    pub sessions_per_owner: usize,
    /// Models in the sessions created from one address.
    pub models_per_owner: usize,
    /// Bytes of those models.
    pub bytes_per_owner: usize,
    /// How long a session without a model survives without a call, unless it asked for its own ttl.
    pub empty_session_ttl: Duration,
    /// How long a session survives without a call, which is also the longest ttl that a client may request.
    pub session_ttl: Duration,
    /// CreateModel requests that a session remembers.
    pub requests_per_session: usize,
}

/// A quota that is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Sessions in total.
    Sessions,
    /// Models in total.
    Models,
    /// Models of one session.
    ModelsPerSession,
    /// Bytes in total.
    Bytes,
    /// Bytes of one session.
    BytesPerSession,
    /// Calls of one session that compare with COMPARE_ONLY models.
    CompareTries,
    /// Sessions created from one address.
    SessionsPerAddress,
    /// Models in those sessions.
    ModelsPerAddress,
    /// Bytes of those models.
    BytesPerAddress,
}

/// A limit that a model exceeds because it was lowered after the model was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// The exceeded limit.
    pub limit: Limit,
    /// The size that counts against it.
    pub found: usize,
    /// The value of the limit now.
    pub allowed: usize,
}

/// A limit on one model, or on the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Layers of a model.
    Layers,
    /// Units of a layer, or features.
    Units,
    /// Parameters of a model.
    Parameters,
    /// A quota of the registry.
    Quota(Quota),
}

/// Why the registry refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No such session, or it has expired.
    #[error("there is no session {0}; it may have expired or been deleted")]
    NoSession(SessionName),
    /// A session that the caller does not own, or that does not exist: the two are not told apart.
    #[error(
        "{0} is not a session of yours, or there is none of this name: a session belongs to the one who created it"
    )]
    NotYours(SessionName),
    /// No such model in it.
    #[error("there is no model {0}")]
    NoModel(ModelName),
    /// The session's record is damaged.
    #[error("the record of {name} cannot be used: {reason}")]
    SessionDamaged {
        /// The session.
        name: SessionName,
        /// The damage.
        reason: String,
    },
    /// The session's id is taken.
    #[error("{0} already exists")]
    SessionTaken(SessionName),
    /// The model's id is taken.
    #[error("{0} already exists")]
    ModelTaken(ModelName),
    /// A quota is used up.
    #[error("{quota:?}: {limit} are allowed")]
    Quota {
        /// The exhausted quota.
        quota: Quota,
        /// The value of the quota.
        limit: usize,
    },
    /// The request's id belongs to another request.
    #[error(transparent)]
    Reused(#[from] RequestIdReused),
}
