//! What a call names, for the audit.

use std::fmt;

use crate::training::{DatasetName, ModelName, SessionName};

/// The most names of a call that are remembered.
const MOST: usize = 8;

/// A session, or something in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A list of sessions.
    Sessions,
    /// A session.
    Session(SessionName),
    /// A model.
    Model(ModelName),
    /// A dataset.
    Dataset(DatasetName),
}

impl Resource {
    /// Reads a name; that of a run is its model's. `None` if it is none.
    pub fn parse(name: &str) -> Option<Self> {
        let of_run = name.split_once("/runs/").map(|(model, _)| model);
        ModelName::parse(of_run.unwrap_or(name))
            .map(Self::Model)
            .or_else(|| DatasetName::parse(name).map(Self::Dataset))
            .or_else(|| SessionName::parse(name).map(Self::Session))
    }

    /// The session that it is in, unless it is one itself.
    fn session(&self) -> Option<&SessionName> {
        match self {
            Self::Sessions | Self::Session(_) => None,
            Self::Model(model) => Some(&model.session),
            Self::Dataset(dataset) => dataset.session.as_ref(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sessions => f.write_str("sessions"),
            Self::Session(session) => session.fmt(f),
            Self::Model(model) => model.fmt(f),
            Self::Dataset(dataset) => dataset.fmt(f),
        }
    }
}

/// The names of a call, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    all: Vec<Resource>,
    /// Whether one of them is another person's.
    pub is_foreign: bool,
}

impl Resources {
    /// Adds a name.
    pub fn add(&mut self, resource: Resource) {
        if self.all.len() < MOST && !self.all.contains(&resource) {
            self.all.push(resource);
        }
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What lies in a session names it, too.
        let is_told = |resource: &&Resource| match resource {
            Resource::Session(session) => {
                let mut others = self.all.iter().map(Resource::session);
                !others.any(|other| other == Some(session))
            }
            Resource::Sessions | Resource::Model(_) | Resource::Dataset(_) => true,
        };
        for (at, resource) in self.all.iter().filter(is_told).enumerate() {
            let before = if at == 0 { "" } else { " " };
            write!(f, "{before}{resource}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_told_once_and_a_session_by_what_lies_in_it() {
        let mut named = Resources::default();
        for name in [
            "sessions/a",
            "sessions/a/models/m",
            "sessions/b",
            "sessions/a/models/m/runs/r1",
            "datasets/digits",
            "sessions/c/datasets/d",
            "sessions/c",
        ] {
            named.add(Resource::parse(name).expect("a name"));
        }
        assert_eq!(
            named.to_string(),
            "sessions/a/models/m sessions/b datasets/digits sessions/c/datasets/d"
        );
        for text in ["", "alice", "sessions/", "sessions/A", "sessions/a/models/"] {
            assert_eq!(Resource::parse(text), None, "{text:?}");
        }
        for number in 0..100 {
            let session = format!("sessions/s{number}");
            named.add(Resource::parse(&session).expect("a name"));
        }
        assert_eq!(named.all.len(), MOST);
    }
}
