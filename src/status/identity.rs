//! Refusals of callers: no identity, or one that may not.

use std::time::Duration;

use backpropd_identity::{Rejection, Role};
use tonic::Status;

use super::reason::Reason;
use super::refusal::Refusal;

/// A login that was refused.
pub fn rejected(rejection: Rejection) -> Status {
    let reason = match rejection {
        Rejection::Missing => Reason::TokenMissing,
        Rejection::Expired | Rejection::CertificateExpired => Reason::TokenExpired,
        Rejection::Revoked => Reason::TokenRevoked,
        Rejection::NotBearer
        | Rejection::TooLarge
        | Rejection::Malformed
        | Rejection::Header
        | Rejection::Signature
        | Rejection::Claim(_)
        | Rejection::Role
        | Rejection::Audience
        | Rejection::Issuer
        | Rejection::NotYetValid => Reason::TokenInvalid,
    };
    Refusal::new(reason, rejection.to_string()).status()
}

/// A login that was refused, from an address where too many have been.
pub fn too_many_failed_logins(wait: Duration) -> Status {
    let message = "too many invalid tokens have come from this address: send a valid one, which is always accepted, or wait \
                   before the next attempt";
    let mut refusal = Refusal::new(Reason::LoginLimit, message);
    // Whole seconds, rounded up.
    let wait = Duration::from_secs(wait.as_secs() + 1);
    refusal.details.set_retry_info(Some(wait));
    refusal.status()
}

/// A role that may not do what was asked.
pub(super) fn not_allowed(role: Role, what: &str, needed: &str) -> Status {
    let message = format!(
        "the role {role} may not use {what}: this needs the role {needed}. Ask for a token with another role"
    );
    Refusal::new(Reason::RoleNotAllowed, message)
        .fact("role", role)
        .fact("asked", what)
        .fact("needed", needed)
        .status()
}
