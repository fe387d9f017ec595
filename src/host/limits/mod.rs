//! Limits on concurrent use: memory, compute time, streams, and the size of models.

pub mod allowance;
pub mod memory;
pub mod over_limit;
pub mod stream_slots;

use std::time::Duration;

use crate::config::Config;
use crate::training::RegistryLimits;

/// The limits on sessions and models.
pub fn of_registry(config: &Config) -> RegistryLimits {
    RegistryLimits {
        sessions: config.max_sessions,
        models: config.max_models,
        models_per_session: config.max_models_per_session,
        bytes: config.max_total_parameter_bytes,
        bytes_per_session: config.max_session_parameter_bytes,
        sessions_per_owner: config.max_sessions_per_address,
        models_per_owner: config.max_models_per_address,
        bytes_per_owner: config.max_parameter_bytes_per_address,
        empty_session_ttl: Duration::from_secs(config.empty_session_ttl_seconds),
        session_ttl: Duration::from_secs(config.session_ttl_seconds),
        requests_per_session: config.request_ids_per_model,
    }
}
