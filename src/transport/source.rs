//! The source of a call: one connection of a peer.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::host::party::{Parties, Party};

/// Prefix length that identifies an IPv6 network: a household or host is assigned a whole /64.
const IPV6_NETWORK_BITS: u32 = 64;

/// A peer's address as the limits count it: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        // An IPv4 address can arrive mapped to IPv6 (::ffff:127.0.0.1).
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::MAX << (128 - IPV6_NETWORK_BITS);
                Ipv6Addr::from(u128::from(address) & network).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// The source of a call: one connection.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The connection's number, unique within the process.
    pub connection: u64,
    /// The peer's address, which the limits per address count by.
    pub address: Address,
    /// The parties of a call on this connection that names no session.
    pub parties: Parties,
    peer: SocketAddr,
}

impl Source {
    /// The source for connection number `connection` from `peer`.
    pub fn new(connection: u64, peer: SocketAddr) -> Self {
        let address = Address::from(peer.ip());
        let link = Party::of(("connection", connection));
        Self {
            connection,
            address,
            peer,
            parties: Parties {
                origin: Party::of(address),
                connection: link,
                session: link,
            },
        }
    }
}

/// The peer's address and port, for the log.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::SessionName;

    fn source(connection: u64, peer: &str) -> Source {
        Source::new(connection, peer.parse().expect("an address"))
    }

    #[test]
    fn an_origin_is_an_ipv4_address_or_a_64_of_ipv6() {
        let origin = |peer| source(1, peer).parties.origin;
        assert_eq!(origin("192.0.2.1:1"), origin("192.0.2.1:2"));
        assert_eq!(origin("192.0.2.1:1"), origin("[::ffff:192.0.2.1]:1"));
        assert_ne!(origin("192.0.2.1:1"), origin("192.0.2.2:1"));
        assert_eq!(origin("[2001:db8::1]:1"), origin("[2001:db8::ffff:2]:1"));
        assert_ne!(origin("[2001:db8::1]:1"), origin("[2001:db8:0:1::1]:1"));
    }

    #[test]
    fn connections_of_an_origin_differ_and_a_session_is_the_same_on_each() {
        let [one, other] = [1, 2].map(|number| source(number, "192.0.2.1:1").parties);
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
