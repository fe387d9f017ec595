//! Names as the log shows them. A session's name is all it takes to use it, so that a line shows a tag instead: the
//! same for the same session as long as the server runs, and of no use to a reader of the log. Lines at `debug` tell
//! which name a tag is for.

use std::fmt;

use super::party::Party;
use crate::training::{ModelName, SessionName};

/// A session.
pub struct SessionTag<'a>(pub &'a SessionName);

impl fmt::Display for SessionTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Party(hash) = Party::of(("tag", self.0));
        // Half of the hash is enough to tell sessions apart.
        write!(f, "#{:08x}", hash >> 32)
    }
}

/// A model.
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
