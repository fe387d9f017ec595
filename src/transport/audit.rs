//! The audit: who changed what, who looked at what is another's, and who was refused. Its lines have the target `audit`.
//! They hold names, and never a tensor, an answer or a token.

use std::fmt;

use tonic::Code;

use super::methods::bounded;
use crate::host::caller::Caller;

/// What a call has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its reply has begun, and may go on for long.
    Started,
    /// It has ended.
    Ended(Code),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("Started"),
            Self::Ended(code) => write!(f, "{code:?}"),
        }
    }
}

/// A call, for the audit.
pub struct Audited<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// The path of the method.
    pub method: &'a str,
    /// Whether the method changes nothing.
    pub is_look: bool,
    /// Whether the login was refused.
    pub is_rejected: bool,
    /// What has come of it.
    pub outcome: Outcome,
}

impl Audited<'_> {
    /// Writes the line of the call, if it is one for the audit; only then is `peer` asked. Calls without an identity are
    /// none, unless one was needed.
    pub fn record(&self, peer: impl FnOnce() -> String) {
        let identity = self.caller.identity();
        if identity.is_none() && !self.is_rejected {
            return;
        }
        let is_denied = self.is_rejected || self.outcome == Outcome::Ended(Code::PermissionDenied);
        let is_told = match self.outcome {
            // What is changed is told once it is.
            Outcome::Started => self.is_look && self.caller.is_foreign(),
            Outcome::Ended(_) => !self.is_look || is_denied || self.caller.is_foreign(),
        };
        if !is_told {
            return;
        }
        tracing::info!(
            target: "audit",
            sub = identity.map(|identity| &*identity.subject).unwrap_or_default(),
            role = identity.map(|identity| identity.role.name()).unwrap_or_default(),
            method = self.method,
            resource = %self.caller.named(),
            code = %self.outcome,
            request = self.caller.id,
            peer = peer(),
            "audit"
        );
    }
}

/// Writes the line of a request that was refused before it became a call, for its host or for the page that it comes from:
/// `from` is the one or the other.
pub fn record_foreign(path: &str, from: &str, request: u64, peer: &str) {
    let path = bounded(path);
    tracing::info!(
        target: "audit",
        sub = "",
        role = "",
        method = path,
        resource = bounded(from),
        code = %Outcome::Ended(Code::PermissionDenied),
        request,
        peer,
        "audit"
    );
}
