//! The parties that turns and shares are counted by.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::LazyLock;

use crate::training::SessionName;

/// A party that has turns and shares. A keyed hash, so that no client can choose to share another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party(pub u64);

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Party {
    /// The server itself, for work that no caller asked for.
    pub const SERVER: Self = Self(0);

    /// The party of this name.
    pub fn of(name: impl Hash) -> Self {
        Self(KEY.hash_one(name))
    }
}

/// Three nested parties, from the widest to the narrowest: an origin, which is the peer's address until callers have an
/// identity; one of its connections; a session that the connection works in. A limit on one of them leaves room for the
/// others at the same level, and an origin that opens connections or sessions by the hundred still has one origin's
/// share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parties {
    /// The peer's address; an authenticated identity where there is one.
    pub origin: Party,
    /// The connection.
    pub connection: Party,
    /// The session, or the connection where the call names none.
    pub session: Party,
}

impl Parties {
    /// The server itself.
    pub const SERVER: Self = Self {
        origin: Party::SERVER,
        connection: Party::SERVER,
        session: Party::SERVER,
    };

    /// The same parties, at work in a session.
    pub fn in_session(self, name: &SessionName) -> Self {
        Self {
            session: Party::of(name),
            ..self
        }
    }
}
