//! Seats for connections: a total, and a share for each address. When no seat is free, the connection that has been
//! idle longest loses its seat, unless its address has fewer connections than the newcomer's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::host::limits::memory::{Account, Holdings};
use crate::transport::peer::Peer;
use crate::transport::source::{Address, Source};

/// All the seats.
#[derive(Debug)]
pub struct Seats {
    state: Mutex<HashMap<Address, Table>>,
    /// Limit on open connections.
    limit: usize,
    /// Limit on the open connections of one address.
    limit_of_address: usize,
    account: Arc<Account>,
    stall: Duration,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Table {
    holdings: Arc<Holdings>,
    peers: Vec<Arc<Peer>>,
}

/// A connection's seat; dropping it frees the seat.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    /// The connection.
    pub peer: Arc<Peer>,
}

/// No seat is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// The setting that limits the seats.
    pub setting: &'static str,
    /// The value of that setting.
    pub limit: usize,
}

impl Seats {
    /// Creates `limit` seats, of which one address may have `limit_of_address`. Connections reserve memory from
    /// `account` and have to read their replies within `stall`.
    pub fn new(
        limit: usize,
        limit_of_address: usize,
        account: Arc<Account>,
        stall: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            limit,
            limit_of_address: limit_of_address.min(limit),
            account,
            stall,
        })
    }

    /// Takes a seat for a new connection. Also returns the idle connection that lost its seat for it, if any.
    ///
    /// # Errors
    /// All seats are taken by busy connections.
    pub fn take(self: &Arc<Self>, source: Source) -> Result<(Seat, Option<Arc<Peer>>), Full> {
        let mut tables = self.lock();
        let own = tables
            .get(&source.address)
            .map_or(0, |table| table.peers.len());
        let open: usize = tables.values().map(|table| table.peers.len()).sum();
        let full = if own >= self.limit_of_address {
            Some(Full {
                setting: "max_connections_per_address",
                limit: self.limit_of_address,
            })
        } else if open >= self.limit {
            Some(Full {
                setting: "max_connections",
                limit: self.limit,
            })
        } else {
            None
        };
        let evicted = match full {
            None => None,
            Some(full) => {
                let of_own = own >= self.limit_of_address;
                let found = give_way(&mut tables, source.address, own, of_own);
                Some(found.ok_or(full)?)
            }
        };
        let table = tables.entry(source.address).or_default();
        let account = self.account.of_connection(Arc::clone(&table.holdings));
        let peer = Peer::new(source, account, self.stall);
        table.peers.push(Arc::clone(&peer));
        let seat = Seat {
            seats: Arc::clone(self),
            peer,
        };
        Ok((seat, evicted))
    }

    /// Frees the seat of the connection that has been idle longest, if any is idle.
    pub fn free_one(&self) -> Option<Arc<Peer>> {
        let mut tables = self.lock();
        let largest = tables
            .iter()
            .filter(|(_, table)| table.longest_idle().is_some())
            .max_by_key(|(_, table)| table.peers.len())
            .map(|(address, _)| *address)?;
        remove_longest_idle(&mut tables, largest)
    }

    /// A peer without a seat, for a connection beyond the limit.
    pub fn standing(&self, source: Source) -> Arc<Peer> {
        let account = self.account.of_connection(Arc::default());
        Peer::new(source, account, self.stall)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Table>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the seat of an idle connection. Candidates are the newcomer's address and the addresses with more connections
/// than it; the one with the most loses a seat. An address at its own limit loses one of its own.
fn give_way(
    tables: &mut HashMap<Address, Table>,
    newcomer: Address,
    own: usize,
    of_own: bool,
) -> Option<Arc<Peer>> {
    let address = if of_own {
        newcomer
    } else {
        tables
            .iter()
            .filter(|(address, table)| **address == newcomer || table.peers.len() > own + 1)
            .filter(|(_, table)| table.longest_idle().is_some())
            .max_by_key(|(_, table)| table.peers.len())
            .map(|(address, _)| *address)?
    };
    remove_longest_idle(tables, address)
}

fn remove_longest_idle(
    tables: &mut HashMap<Address, Table>,
    address: Address,
) -> Option<Arc<Peer>> {
    let table = tables.get_mut(&address)?;
    let index = table.longest_idle()?;
    // In order of arrival, so that the oldest is found first.
    let evicted = table.peers.remove(index);
    if table.peers.is_empty() {
        tables.remove(&address);
    }
    Some(evicted)
}

impl Table {
    /// The index of a connection that has sent nothing yet, or else of the one idle longest.
    fn longest_idle(&self) -> Option<usize> {
        let idle = self.peers.iter().enumerate().filter_map(|(index, peer)| {
            let since = peer.idle_since()?;
            Some((peer.has_spoken(), since, index))
        });
        idle.min().map(|(_, _, index)| index)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let address = self.peer.source.address;
        let mut tables = self.seats.lock();
        if let Some(table) = tables.get_mut(&address) {
            // A connection that lost its seat is no longer in the table.
            table.peers.retain(|peer| !Arc::ptr_eq(peer, &self.peer));
            if table.peers.is_empty() {
                tables.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    struct Room {
        seats: Arc<Seats>,
        next: u64,
    }

    impl Room {
        fn new(limit: usize, limit_of_address: usize) -> Self {
            let account = Account::of_server(1 << 30);
            let stall = Duration::from_secs(1);
            Self {
                seats: Seats::new(limit, limit_of_address, account, stall),
                next: 0,
            }
        }

        fn enter(&mut self, host: u8) -> Result<(Seat, Option<u64>), Full> {
            self.next += 1;
            let source = Source::new(self.next, ([192, 0, 2, host], 1).into());
            let (seat, evicted) = self.seats.take(source)?;
            Ok((seat, evicted.map(|peer| peer.source.connection)))
        }

        fn spoken(&mut self, host: u8) -> (Seat, Option<u64>) {
            let (seat, evicted) = self.enter(host).expect("a seat");
            seat.peer.spoken.store(true, Ordering::Relaxed);
            (seat, evicted)
        }
    }

    #[test]
    fn an_address_has_its_share_and_another_one_its_own() {
        let mut room = Room::new(4, 2);
        let (first, second) = (room.spoken(1).0, room.spoken(1).0);
        let busy = [&first, &second].map(|seat| seat.peer.call_begins());
        let full = room.enter(1).expect_err("two are taken");
        assert_eq!(full.setting, "max_connections_per_address");
        let theirs = room.spoken(2).0;
        drop(busy);
        let (_third, evicted) = room.enter(1).expect("an idle one gives way");
        assert_eq!(evicted, Some(first.peer.source.connection));
        drop((first, theirs));
        room.enter(2).expect("a seat that was left is free");
    }

    #[test]
    fn the_silent_give_way_before_the_idle_and_the_idle_of_the_largest_address_first() {
        let mut room = Room::new(4, 4);
        let only = room.spoken(9).0;
        let idle = room.spoken(1).0;
        let silent = room.enter(1).expect("a seat").0;
        let busy = room.spoken(1).0;
        let _call = busy.peer.call_begins();
        let number = |seat: &Seat| Some(seat.peer.source.connection);
        let (third, evicted) = room.spoken(2);
        assert_eq!(evicted, number(&silent), "of the address with most");
        let (_fourth, evicted) = room.spoken(3);
        assert_eq!(evicted, number(&idle));
        // One of each is left: none has more than the newcomer, and its own is idle.
        let (_fifth, evicted) = room.spoken(2);
        assert_eq!(evicted, number(&third));
        assert!(room.enter(4).is_err(), "no address has two idle ones");
        drop(only);
        room.enter(4).expect("a free seat");
    }
}
