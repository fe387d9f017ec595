//! Models above a limit that was lowered after they were made: they stay, and are not changed.

use tonic::{Code, Status};

use super::Server;
use super::entry::ModelEntry;
use super::status::Refusal;
use crate::training::{Limit, ModelName, OverLimit, Quota};

impl Server {
    /// Refuses to change a model that is above a limit, which was lowered after the model was made.
    ///
    /// # Errors
    /// The limit, the model's size and the way out.
    pub fn check_limits(&self, entry: &ModelEntry) -> Result<(), Status> {
        let over = entry.model.spec().over_limit(&self.limits);
        match over.or_else(|| self.registry().over_limit(&entry.name)) {
            None => Ok(()),
            Some(over) => Err(over_limit(&entry.name, over)),
        }
    }
}

/// A model that cannot be changed while a limit is lower than it was when the model was made.
fn over_limit(name: &ModelName, over: OverLimit) -> Status {
    let (setting, what) = match over.limit {
        Limit::Layers => ("max_layers", "layers"),
        Limit::Units => ("max_units", "units in a layer or features"),
        Limit::Parameters => ("max_parameters", "parameters"),
        Limit::Quota(quota) => counted_by(quota),
    };
    let way_out = match over.limit {
        Limit::Layers | Limit::Units | Limit::Parameters => {
            "train an export of it elsewhere, or have the limit raised"
        }
        Limit::Quota(_) => "delete what is done with, or have the limit raised",
    };
    let OverLimit { found, allowed, .. } = over;
    let message = format!(
        "{name} does not train: there are {found} {what}, the server now allows {allowed} ({setting}). It can be read, \
         exported and deleted as before. Way out: {way_out}"
    );
    Refusal::new(Code::FailedPrecondition, "OVER_LIMIT", message)
        .fact("setting", setting)
        .fact("limit", allowed)
        .fact("found", found)
        .status()
}

/// A quota's setting, and what it counts.
fn counted_by(quota: Quota) -> (&'static str, &'static str) {
    match quota {
        Quota::Sessions => ("max_sessions", "sessions on the server"),
        Quota::SessionsPerAddress => ("max_sessions_per_address", "sessions of one address"),
        Quota::Models => ("max_models", "models on the server"),
        Quota::ModelsPerSession => ("max_models_per_session", "models in its session"),
        Quota::ModelsPerAddress => ("max_models_per_address", "models of one address"),
        Quota::CompareTries => ("max_compare_tries_per_session", "comparisons"),
        Quota::Bytes => ("max_total_parameter_bytes", "bytes of models on the server"),
        Quota::BytesPerSession => (
            "max_session_parameter_bytes",
            "bytes of models in its session",
        ),
        Quota::BytesPerAddress => ("max_parameter_bytes_per_address", "bytes of one address"),
    }
}
