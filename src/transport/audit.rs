//! The audit: who changed what, and who was refused. Its lines have the target `audit`, one for each call that changed
//! something or was denied, and for each call by which somebody saw another person's session. They hold names, and never
//! a tensor, an answer or a token.

use std::fmt;

use tonic::Code;

use crate::host::caller::Caller;

/// Writes the line of a call that has ended, if it is one for the audit; only then is `peer` asked. Without identities
/// there is none.
pub fn record(
    caller: &Caller,
    method: &str,
    is_read: bool,
    peer: impl FnOnce() -> String,
    code: Code,
) {
    let is_denied = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
    let is_foreign = caller.foreign_session().is_some();
    let identity = caller.identity();
    if identity.is_none() && code != Code::Unauthenticated || is_read && !is_denied && !is_foreign {
        return;
    }
    tracing::info!(
        target: "audit",
        sub = identity.map(|identity| &*identity.subject).unwrap_or_default(),
        role = identity.map(|identity| identity.role.name()).unwrap_or_default(),
        method,
        resource = %Resource(caller),
        ?code,
        request = caller.id,
        peer = peer(),
        "audit"
    );
}

/// What a call names: a model, or a session; and the session of another person, if that is one more.
struct Resource<'a>(&'a Caller);

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let foreign = self.0.foreign_session();
        let of_model = self.0.model().map(|model| &model.session);
        match (
            self.0.model(),
            self.0.session().filter(|_| foreign.is_none()),
        ) {
            (Some(model), _) => model.fmt(f)?,
            (None, Some(session)) => session.fmt(f)?,
            (None, None) => {}
        }
        match foreign.filter(|foreign| Some(*foreign) != of_model) {
            Some(foreign) if of_model.is_some() => write!(f, " {foreign}"),
            Some(foreign) => foreign.fmt(f),
            None => Ok(()),
        }
    }
}
