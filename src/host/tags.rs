//! Short tags for names in the log. A session's name is the credential to use it, so log lines show a tag instead:
//! stable for as long as the server runs, and useless to a reader of the log. Lines at `debug` level map tags to names.

use std::fmt;

use super::party::Party;
use crate::training::{ModelName, SessionName};

/// A session's tag.
pub struct SessionTag<'a>(pub &'a SessionName);

impl fmt::Display for SessionTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Party(hash) = Party::of(("tag", self.0));
        // Half of the hash suffices to tell sessions apart.
        write!(f, "#{:08x}", hash >> 32)
    }
}

/// A model's tag.
pub struct ModelTag<'a>(pub &'a ModelName);

impl fmt::Display for ModelTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/models/{}", SessionTag(&self.0.session), self.0.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_sessions_apart_and_names_none() {
        let tag = |session: &str| {
            let name = ModelName::parse(&format!("sessions/{session}/models/iris"));
            ModelTag(&name.expect("a name")).to_string()
        };
        assert_eq!(tag("ada"), tag("ada"));
        assert_ne!(tag("ada"), tag("eve"));
        assert!(tag("ada").ends_with("/models/iris"));
        assert!(!tag("ada").contains("ada"));
    }
}
