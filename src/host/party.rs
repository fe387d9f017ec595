//! Parties: the units that fair queueing and quotas apply to.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::LazyLock;

use crate::training::SessionName;

/// An entity with its own turns and quotas. A keyed hash, so that clients cannot provoke collisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party(pub u64);

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Party {
    /// The server itself, for work without a caller.
    pub const SERVER: Self = Self(0);

    /// The party of a person, from whichever address.
    pub fn of_person(subject: &str) -> Self {
        Self::of(("sub", subject))
    }

    /// The party with this name.
    pub fn of(name: impl Hash) -> Self {
        Self(KEY.hash_one(name))
    }
}

/// Three nested parties, widest first: the origin (the caller's identity, or else the peer's address), a connection
/// from it, and a session that the connection works in. A limit on one party leaves room for the others at its level;
/// an origin that opens hundreds of connections or sessions still gets one origin's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parties {
    /// The peer's address, or an authenticated identity if there is one.
    pub origin: Party,
    /// The connection.
    pub connection: Party,
    /// The session, or the connection if the call names no session.
    pub session: Party,
}

impl Parties {
    /// The server itself.
    pub const SERVER: Self = Self {
        origin: Party::SERVER,
        connection: Party::SERVER,
        session: Party::SERVER,
    };

    /// The same parties, working in a session.
    pub fn in_session(self, name: &SessionName) -> Self {
        Self {
            session: Party::of(name),
            ..self
        }
    }
}
