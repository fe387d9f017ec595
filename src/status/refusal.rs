//! A status with a reason, under construction.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, QuotaViolation, StatusExt as _};

use super::reason::Reason;

/// The `ErrorInfo.domain` of every refusal.
pub const DOMAIN: &str = "backpropd";

/// The longest message, in bytes. Longer ones break clients that limit the header list in which a status travels.
const LONGEST_MESSAGE: usize = 900;

/// A status with a reason, under construction.
pub struct Refusal {
    reason: Reason,
    message: String,
    pub(super) details: ErrorDetails,
}

impl Refusal {
    /// A refusal with `ErrorInfo { reason, domain }`, and `RetryInfo` where the same request may be sent again.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let mut details = ErrorDetails::with_error_info(reason.name(), DOMAIN, HashMap::new());
        if let Some(delay) = reason.retry_after() {
            details.set_retry_info(Some(delay));
        }
        Self {
            reason,
            message: message.into(),
            details,
        }
    }

    /// Adds a fact to `ErrorInfo.metadata`.
    pub fn fact(mut self, key: &str, value: impl ToString) -> Self {
        if let Some(mut info) = self.details.error_info().cloned() {
            info.metadata.insert(key.to_owned(), value.to_string());
            self.details
                .set_error_info(info.reason, info.domain, info.metadata);
        }
        self
    }

    /// Adds `ResourceInfo`.
    pub fn resource(mut self, kind: &str, name: &str, message: &str) -> Self {
        self.details.set_resource_info(kind, name, "", message);
        self
    }

    /// Adds `QuotaFailure`.
    pub(super) fn quota(mut self, subject: &str, description: &str) -> Self {
        self.details
            .set_quota_failure(vec![QuotaViolation::new(subject, description)]);
        self
    }

    /// The status.
    pub fn status(self) -> Status {
        let mut message = self.message;
        if message.len() > LONGEST_MESSAGE {
            let cut = (0..=LONGEST_MESSAGE)
                .rev()
                .find(|at| message.is_char_boundary(*at))
                .unwrap_or(0);
            message.truncate(cut);
            message.push('…');
        }
        Status::with_error_details(self.reason.code(), message, self.details)
    }
}
