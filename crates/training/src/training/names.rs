//! Ids and resource names: `sessions/{session}` and `sessions/{session}/models/{model}`.

use std::fmt;

/// The longest id, in characters.
const LONGEST_ID: usize = 63;

/// The pattern of an id, for messages.
pub const ID_PATTERN: &str = "[a-z][a-z0-9-]{0,62}";

/// The id of a session or a model: `[a-z][a-z0-9-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

impl Id {
    /// Parses an id; `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        let goes_on_well = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (starts_well && goes_on_well && text.len() <= LONGEST_ID).then(|| Self(text.to_owned()))
    }

    /// An id from 128 bits that the caller drew at random, so that it cannot be guessed.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("x{bits:032x}"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `sessions/{session}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionName(pub Id);

/// `sessions/{session}/models/{model}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName {
    /// The session of the model.
    pub session: SessionName,
    /// The model's id within the session.
    pub model: Id,
}

impl SessionName {
    /// The pattern of the name, for messages.
    pub const PATTERN: &str = "\"sessions/{session}\"";

    /// Parses a name; `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        Id::parse(text.strip_prefix("sessions/")?).map(Self)
    }
}

impl ModelName {
    /// The pattern of the name, for messages.
    pub const PATTERN: &str = "\"sessions/{session}/models/{model}\"";

    /// Parses a name; `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (session, model) = text.split_once("/models/")?;
        Some(Self {
            session: SessionName::parse(session)?,
            model: Id::parse(model)?,
        })
    }
}

/// A dataset: `datasets/{dataset}`, or `sessions/{session}/datasets/{dataset}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetName {
    /// The session of the dataset; `None` for a shared one.
    pub session: Option<SessionName>,
    /// The dataset's id.
    pub dataset: Id,
}

impl DatasetName {
    /// The pattern of the name, for messages.
    pub const PATTERN: &str = "\"datasets/{dataset}\" or \"sessions/{session}/datasets/{dataset}\"";

    /// Parses a name; `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (session, dataset) = match text.strip_prefix("datasets/") {
            Some(dataset) => (None, dataset),
            None => {
                let (session, dataset) = text.split_once("/datasets/")?;
                (Some(SessionName::parse(session)?), dataset)
            }
        };
        let dataset = Id::parse(dataset)?;
        Some(Self { session, dataset })
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.session {
            Some(session) => write!(f, "{session}/datasets/{}", self.dataset),
            None => write!(f, "datasets/{}", self.dataset),
        }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sessions/{}", self.0)
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/models/{}", self.session, self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_everything_else_is_refused() {
        for name in ["sessions/a/models/b", "sessions/lab-1/models/x0"] {
            assert_eq!(ModelName::parse(name).expect("valid").to_string(), name);
        }
        for name in ["datasets/digits", "sessions/a/datasets/b"] {
            assert_eq!(DatasetName::parse(name).expect("valid").to_string(), name);
        }
        for name in [
            "datasets/",
            "datasets/a/b",
            "sessions/a/datasets/",
            "x/datasets/a",
        ] {
            assert_eq!(DatasetName::parse(name), None, "{name}");
        }
        let long = format!("sessions/{}", "a".repeat(64));
        for name in [
            "",
            "sessions/",
            "sessions/A",
            "sessions/1a",
            "a",
            "sessions/a/models/",
            &long,
        ] {
            assert_eq!(SessionName::parse(name), None, "{name}");
            assert_eq!(ModelName::parse(name), None, "{name}");
        }
        assert!(SessionName::parse(&long[..long.len() - 1]).is_some());
        assert!(Id::parse(&Id::from_random(u128::MAX).to_string()).is_some());
    }
}
