//! Who asks: what turns and shares are counted by, and what a log line shows.
//!
//! Three nested parties: an origin, which is the peer's address until callers have an identity; one of its connections;
//! a session that the connection works in. A limit on one of them leaves room for the others at the same level, and an
//! origin that opens connections or sessions by the hundred still has one origin's share.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hash};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use crate::training::SessionName;

/// Bits of an IPv6 address that tell networks apart: one household or host is given all the addresses of a /64.
const IPV6_NETWORK_BITS: u32 = 64;

/// One who has turns and shares. A keyed hash, so that no client can choose to share another's.
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

/// A peer's address as limits see it: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        // An IPv4 address can come as IPv6 (::ffff:127.0.0.1).
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::MAX << (128 - IPV6_NETWORK_BITS);
                Ipv6Addr::from(u128::from(address) & network).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// Where calls come from: one connection.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its number; no two connections of a process have the same.
    pub connection: u64,
    /// The peer's address, by which shares are counted.
    pub address: Address,
    peer: SocketAddr,
    caller: Caller,
}

impl Source {
    /// The connection of this number, from `peer`.
    pub fn new(connection: u64, peer: SocketAddr) -> Self {
        let address = Address::from(peer.ip());
        let link = Party::of(("connection", connection));
        Self {
            connection,
            address,
            peer,
            caller: Caller {
                origin: Party::of(address),
                connection: link,
                session: link,
            },
        }
    }

    /// Who asks on this connection, as long as no session is named.
    pub fn caller(&self) -> Caller {
        self.caller
    }
}

/// The peer's address and port, for the log.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

/// Who asks, from the widest party to the narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The peer's address; an authenticated identity where there is one.
    pub origin: Party,
    /// The connection.
    pub connection: Party,
    /// The session, or the connection where the call names none.
    pub session: Party,
}

impl Caller {
    /// The server itself.
    pub const SERVER: Self = Self {
        origin: Party::SERVER,
        connection: Party::SERVER,
        session: Party::SERVER,
    };

    /// The same caller, at work in a session.
    pub fn in_session(self, name: &SessionName) -> Self {
        Self {
            session: Party::of(name),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(connection: u64, peer: &str) -> Source {
        Source::new(connection, peer.parse().expect("an address"))
    }

    #[test]
    fn an_origin_is_an_ipv4_address_or_a_64_of_ipv6() {
        let origin = |peer| source(1, peer).caller().origin;
        assert_eq!(origin("192.0.2.1:1"), origin("192.0.2.1:2"));
        assert_eq!(origin("192.0.2.1:1"), origin("[::ffff:192.0.2.1]:1"));
        assert_ne!(origin("192.0.2.1:1"), origin("192.0.2.2:1"));
        assert_eq!(origin("[2001:db8::1]:1"), origin("[2001:db8::ffff:2]:1"));
        assert_ne!(origin("[2001:db8::1]:1"), origin("[2001:db8:0:1::1]:1"));
    }

    #[test]
    fn connections_of_an_origin_differ_and_a_session_is_the_same_on_each() {
        let [one, other] = [1, 2].map(|number| source(number, "192.0.2.1:1").caller());
        assert_eq!(one.origin, other.origin);
        assert_ne!(one.connection, other.connection);
        assert_eq!(one.session, one.connection);
        let name = SessionName::parse("sessions/a").expect("a name");
        assert_eq!(
            one.in_session(&name).session,
            other.in_session(&name).session
        );
        assert_eq!(one.in_session(&name).connection, one.connection);
    }
}
