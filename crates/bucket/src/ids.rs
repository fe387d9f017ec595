//! Random ids: of a commit, and of a session's life.

use std::fmt;
use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many commit ids an object carries. One is not enough: before a node has read back whether its write landed,
/// others may have committed on top of it.
pub const COMMITS_KEPT: usize = 16;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id of these random bytes.
            pub fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                bytes(&text).map(Self).ok_or_else(|| {
                    D::Error::custom(format!("{text:?} is not an id of 32 hexadecimal digits"))
                })
            }
        }
    };
}

random_id! {
    /// A commit. Two commits of equal content have different ids, so that an ETag made of the content never returns.
    CommitId
}

random_id! {
    /// One life of a session, from its creation to its deletion. A model of another generation is dead.
    Generation
}

fn bytes(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// What each object carries besides its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The life of the session to which it belongs.
    pub generation: Generation,
    /// The ids of its last commits, at most [`COMMITS_KEPT`], the newest last.
    pub commits: Vec<CommitId>,
}

impl Mark {
    /// The mark of the commit that follows, of which `kept` ids remain.
    pub(crate) fn followed_by(&self, commit: CommitId, kept: usize) -> Self {
        let first = (self.commits.len() + 1).saturating_sub(kept);
        let commits = self.commits[first.min(self.commits.len())..].iter();
        Self {
            generation: self.generation,
            commits: commits.copied().chain([commit]).collect(),
        }
    }

    pub(crate) fn newest(&self) -> Option<CommitId> {
        self.commits.last().copied()
    }
}

/// Where random bytes come from: the system's, or a test's.
pub(crate) type Random = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

/// The system's random bytes.
pub(crate) fn system_random() -> Random {
    Arc::new(|| {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .expect("the system has random bytes, without which no key could be made either");
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = CommitId::new(*b"\x00\x01\xfe\xffabcdefghijkl");
        let text = serde_json::to_string(&id).expect("an id is a string");
        assert_eq!(text, "\"0001feff6162636465666768696a6b6c\"");
        assert_eq!(serde_json::from_str::<CommitId>(&text).ok(), Some(id));
        for wrong in ["\"00\"", "\"zz01feff6162636465666768696a6b6c\"", "7"] {
            assert!(serde_json::from_str::<CommitId>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mark_keeps_the_last_sixteen_commits() {
        let mut mark = Mark {
            generation: Generation::new([7; 16]),
            commits: Vec::new(),
        };
        for i in 0..20 {
            mark = mark.followed_by(CommitId::new([i; 16]), COMMITS_KEPT);
        }
        let kept: Vec<CommitId> = (4..20).map(|i| CommitId::new([i; 16])).collect();
        assert_eq!(mark.commits, kept);
        assert_eq!(
            mark.followed_by(CommitId::new([99; 16]), 1).commits.len(),
            1
        );
    }
}
