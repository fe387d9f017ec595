//! The memory budget shared by all calls in progress: messages, replies, workspaces. A call that exceeds it is refused
//! at once; without a budget, the kernel would kill the process with all its calls.
//!
//! Bytes are counted exactly, by connection and by address. How much a party may hold depends on what is free, as in
//! switches with shared memory (Choudhury and Hahne, "Dynamic queue length thresholds", 1998): a single busy client
//! gets most of the memory, yet any number of greedy ones leave some for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::host::refused::Refused;

/// The first bytes of each call come from a separate pool, so that small calls succeed however much large ones hold.
const SMALL: usize = 64 << 10;

/// The small pool's share of all memory: one part in `SMALL_PART`.
const SMALL_PART: usize = 16;

/// An address may hold this many times the free memory.
const OF_ADDRESS: usize = 4;

/// A connection may hold this many times what its address may still take. A single connection thus holds up to 8/11 of
/// a pool, and a single address never more than 4/5.
const OF_CONNECTION: usize = 2;

/// The fraction of all memory that a single connection is guaranteed on an idle server: 15/16 · 8/11, rounded down.
/// `config` limits a call to it.
#[cfg(test)]
const FOR_ONE_CALL: (usize, usize) = (2, 3);

/// Bytes reserved from each pool.
#[derive(Debug, Default)]
pub struct Holdings {
    small: AtomicUsize,
    large: AtomicUsize,
}

#[derive(Debug)]
struct Pool {
    limit: usize,
    free: AtomicUsize,
}

#[derive(Debug)]
struct Pools {
    small: Pool,
    large: Pool,
    limit: usize,
}

/// Who is charged: a connection and its address, or the server itself, which has no share.
#[derive(Debug)]
pub struct Account {
    pools: Arc<Pools>,
    shares: Option<(Holdings, Arc<Holdings>)>,
}

/// Why a reservation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{whose} no memory left for {asked} more bytes")]
pub struct OutOfMemory {
    /// The party whose share is exhausted.
    pub whose: Whose,
    /// Bytes requested.
    pub asked: usize,
    /// Bytes that the call needs at the same time, as far as known.
    pub needed: usize,
    /// Bytes that one call can get on an idle server.
    pub most: usize,
    /// The budget of all calls, in bytes.
    pub limit: usize,
}

impl OutOfMemory {
    /// The same for a call that already holds `held` bytes.
    pub fn beside(mut self, held: usize) -> Self {
        self.needed = self.needed.saturating_add(held);
        self
    }

    /// Whether the call would fail on an idle server.
    pub fn is_final(&self) -> bool {
        self.needed > self.most
    }
}

/// The level at which the memory is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All calls together.
    Host,
    /// The calls from one address.
    Address,
    /// The calls on one connection.
    Connection,
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host => "the calls in progress have",
            Self::Address => "the calls in progress from this address have",
            Self::Connection => "the calls in progress on this connection have",
        })
    }
}

/// One of the two pools.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Small,
    Large,
}

impl Holdings {
    fn of(&self, which: Which) -> &AtomicUsize {
        match which {
            Which::Small => &self.small,
            Which::Large => &self.large,
        }
    }
}

impl Pool {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            free: AtomicUsize::new(limit),
        }
    }
}

impl Account {
    /// The account of a server with a budget of `limit` bytes.
    pub fn of_server(limit: usize) -> Arc<Self> {
        let small = limit / SMALL_PART;
        Arc::new(Self {
            pools: Arc::new(Pools {
                small: Pool::new(small),
                large: Pool::new(limit - small),
                limit,
            }),
            shares: None,
        })
    }

    /// The account of a connection, charged to itself and its address.
    pub fn of_connection(&self, address: Arc<Holdings>) -> Arc<Self> {
        Arc::new(Self {
            pools: Arc::clone(&self.pools),
            shares: Some((Holdings::default(), address)),
        })
    }

    /// The budget of all calls, in bytes.
    pub fn limit(&self) -> usize {
        self.pools.limit
    }

    /// The bytes of the budget that no call has reserved.
    pub fn free(&self) -> usize {
        let free = |pool: &Pool| pool.free.load(Ordering::Relaxed);
        free(&self.pools.small) + free(&self.pools.large)
    }

    /// The most that one connection can hold while no other holds anything.
    fn most_of_one(&self) -> usize {
        let limit = self.pools.large.limit;
        if self.shares.is_none() {
            return limit;
        }
        // The largest x with x ≤ OF_CONNECTION · (OF_ADDRESS · (limit − x) − x).
        let times = OF_CONNECTION * OF_ADDRESS;
        limit / (1 + OF_CONNECTION + times) * times + SMALL
    }

    /// Reserves `bytes` for a call.
    ///
    /// # Errors
    /// Not enough memory is left.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation, OutOfMemory> {
        let mut reservation = self.nothing();
        reservation.extend(bytes)?;
        Ok(reservation)
    }

    /// Reserves `bytes` and some spare, so that a small call reserves only once: each reservation contends for the
    /// shared counters.
    ///
    /// # Errors
    /// As above.
    pub fn reserve_with_spare(
        self: &Arc<Self>,
        bytes: usize,
        spare: usize,
    ) -> Result<Reservation, OutOfMemory> {
        Ok(self.reserve(bytes + spare)?.with_spare(spare))
    }

    /// An empty reservation.
    pub fn nothing(self: &Arc<Self>) -> Reservation {
        Reservation::new(Arc::clone(self))
    }

    fn pool(&self, which: Which) -> &Pool {
        match which {
            Which::Small => &self.pools.small,
            Which::Large => &self.pools.large,
        }
    }

    // Relaxed ordering suffices: the counters publish no other memory.
    fn take(&self, which: Which, bytes: usize) -> Result<(), Whose> {
        let pool = self.pool(which);
        let before = pool
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                free.checked_sub(bytes)
            })
            .map_err(|_| Whose::Host)?;
        let Some((own, address)) = &self.shares else {
            return Ok(());
        };
        let own = own.of(which).fetch_add(bytes, Ordering::Relaxed) + bytes;
        let of_address = address.of(which).fetch_add(bytes, Ordering::Relaxed) + bytes;
        let allowed = OF_ADDRESS.saturating_mul(before - bytes);
        let whose = match allowed.checked_sub(of_address) {
            None => Whose::Address,
            Some(left) if own > OF_CONNECTION.saturating_mul(left) => Whose::Connection,
            Some(_) => return Ok(()),
        };
        self.give_back(which, bytes);
        Err(whose)
    }

    fn give_back(&self, which: Which, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some((own, address)) = &self.shares {
            own.of(which).fetch_sub(bytes, Ordering::Relaxed);
            address.of(which).fetch_sub(bytes, Ordering::Relaxed);
        }
        let pool = self.pool(which);
        let before = pool.free.fetch_add(bytes, Ordering::Relaxed);
        debug_assert!(before + bytes <= pool.limit, "given back twice");
    }
}

/// Reserved memory; released when dropped.
#[derive(Debug, Default)]
pub struct Reservation {
    small: usize,
    large: usize,
    /// Bytes reserved from the small pool and not yet used.
    spare: usize,
    account: Option<Arc<Account>>,
}

impl Reservation {
    /// An empty reservation on this account.
    fn new(account: Arc<Account>) -> Self {
        Self {
            account: Some(account),
            ..Self::default()
        }
    }

    /// Marks this many of the reserved bytes as spare.
    fn with_spare(mut self, spare: usize) -> Self {
        self.spare = spare.min(self.small);
        self
    }

    /// Number of reserved bytes.
    pub fn bytes(&self) -> usize {
        self.small + self.large
    }

    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// Not enough memory is left; the reservation is unchanged.
    pub fn extend(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if self.use_spare(bytes) {
            return Ok(());
        }
        let Some(account) = &self.account else {
            return Ok(());
        };
        if self.bytes().saturating_add(bytes) <= SMALL && account.take(Which::Small, bytes).is_ok()
        {
            self.small += bytes;
            return Ok(());
        }
        account
            .take(Which::Large, bytes)
            .map_err(|whose| OutOfMemory {
                whose,
                asked: bytes,
                needed: self.bytes().saturating_add(bytes),
                most: account.most_of_one(),
                limit: account.limit(),
            })?;
        self.large += bytes;
        Ok(())
    }

    /// Uses `bytes` of the spare; returns `false` if there are fewer.
    pub fn use_spare(&mut self, bytes: usize) -> bool {
        let left = self.spare.checked_sub(bytes);
        self.spare = left.unwrap_or(self.spare);
        left.is_some()
    }

    /// Grows the reservation to at least `bytes`.
    ///
    /// # Errors
    /// As above.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.spare = 0;
        self.extend(bytes.saturating_sub(self.bytes()))
    }

    /// Releases all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let beyond = self.bytes().saturating_sub(bytes);
        if beyond > 0 {
            self.shrink(beyond);
        }
    }

    /// Whether it belongs to an account. A reservation without one is not counted.
    pub fn is_counted(&self) -> bool {
        self.account.is_some()
    }

    /// Releases up to `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let Some(account) = &self.account else {
            return;
        };
        let large = bytes.min(self.large);
        let small = (bytes - large).min(self.small);
        account.give_back(Which::Large, large);
        account.give_back(Which::Small, small);
        self.large -= large;
        self.small -= small;
        self.spare = self.spare.min(self.small);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.give_back(Which::Small, self.small);
            account.give_back(Which::Large, self.large);
        }
    }
}

/// Retrying helps, unless the call would fail on an idle server, too.
impl From<OutOfMemory> for Refused {
    fn from(error: OutOfMemory) -> Self {
        let (setting, limit) = ("max_in_flight_bytes", error.limit as u64);
        if error.is_final() {
            let message = format!(
                "this call needs about {} bytes at once; one call can get {} of the {limit} bytes for all calls \
                 (max_in_flight_bytes): send a smaller request, or have the limit raised",
                error.needed, error.most
            );
            return Self::quota(setting, limit, message);
        }
        let message = format!(
            "{error}: all calls together may hold {limit} bytes (max_in_flight_bytes), one address or connection a part \
             of what is free; try again in a second, or send less at a time"
        );
        Self::Busy {
            setting,
            limit,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1600 << 20;
    const SMALL_POOL: usize = LIMIT / SMALL_PART;
    const LARGE_POOL: usize = LIMIT - SMALL_POOL;

    /// Reserves large pieces until the account refuses.
    fn greedy(account: &Arc<Account>) -> Reservation {
        let mut held = account.nothing();
        while held.extend(SMALL + 1).is_ok() {}
        held
    }

    fn part(reservation: &Reservation) -> f64 {
        reservation.bytes() as f64 / LARGE_POOL as f64
    }

    #[test]
    fn a_part_that_is_given_back_can_be_held_again() {
        let account = Account::of_server(LIMIT);
        let mut held = account.reserve(LARGE_POOL).expect("all of it");
        assert!(account.reserve(SMALL + 1).is_err());
        held.shrink(SMALL + 1);
        account.reserve(SMALL + 1).expect("it was given back");
        held.shrink(LIMIT);
        assert_eq!(held.bytes(), 0);
        account.reserve(LARGE_POOL).expect("all of it again");
    }

    #[test]
    fn what_is_held_is_missing_until_it_is_given_back_to_the_byte() {
        let host = Account::of_server(LIMIT);
        let mut first = host.reserve(SMALL_POOL + 1).expect("room");
        let left = LARGE_POOL - SMALL_POOL - 1;
        assert!(host.reserve(left + 1).is_err());
        first.extend(left).expect("room");
        let small = host
            .reserve(1)
            .expect("small calls have a pool of their own");
        assert!(host.reserve(SMALL + 1).is_err());
        drop((first, small));
        host.reserve(LARGE_POOL).expect("all of it is back");
        let ones: Vec<_> = (0..10_000).map(|_| host.reserve(1)).collect();
        assert!(ones.iter().all(Result::is_ok));
        let free = host.pools.small.free.load(Ordering::Relaxed);
        assert_eq!(free, SMALL_POOL - 10_000, "a byte is a byte");
    }

    #[test]
    fn what_is_held_to_spare_is_used_first_and_is_given_back_with_the_rest() {
        let account = Account::of_server(LIMIT);
        let free = || account.pools.small.free.load(Ordering::Relaxed);
        let mut held = account.reserve_with_spare(100, 50).expect("room");
        assert_eq!((held.bytes(), free()), (150, SMALL_POOL - 150));
        assert!(held.use_spare(20) && !held.use_spare(31));
        held.extend(30).expect("to spare");
        assert_eq!(held.bytes(), 150);
        held.extend(1).expect("room");
        assert_eq!(held.bytes(), 151);
        held.grow_to(150).expect("it holds more");
        held.grow_to(200).expect("room");
        assert_eq!((held.bytes(), free()), (200, SMALL_POOL - 200));
        held.shrink_to(300);
        held.shrink_to(120);
        assert_eq!((held.bytes(), free()), (120, SMALL_POOL - 120));
        drop(held);
        assert_eq!(free(), SMALL_POOL);
    }

    #[test]
    fn one_connection_gets_most_and_greedy_ones_leave_some_to_the_next() {
        let host = Account::of_server(LIMIT);
        let address = Arc::<Holdings>::default();
        let one = greedy(&host.of_connection(Arc::clone(&address)));
        assert!((0.70..0.73).contains(&part(&one)), "{}", part(&one));
        let (numerator, denominator) = FOR_ONE_CALL;
        assert!(one.bytes() >= LIMIT / denominator * numerator);
        assert!(one.bytes() <= host.of_connection(Arc::default()).most_of_one());
        let neighbour = greedy(&host.of_connection(Arc::clone(&address)));
        assert!(part(&neighbour) > 0.06, "{}", part(&neighbour));
        let stranger = greedy(&host.of_connection(Arc::default()));
        assert!(part(&stranger) > 0.12, "{}", part(&stranger));
    }

    #[test]
    fn a_hundred_greedy_connections_of_an_address_leave_a_fifth_to_the_others() {
        let host = Account::of_server(LIMIT);
        let address = Arc::<Holdings>::default();
        let all: Vec<_> = (0..100)
            .map(|_| greedy(&host.of_connection(Arc::clone(&address))))
            .collect();
        let held: f64 = all.iter().map(part).sum();
        assert!((0.7..=0.8).contains(&held), "{held}");
        let error = host
            .of_connection(Arc::clone(&address))
            .reserve(LIMIT / 10)
            .expect_err("the address has had its share");
        assert_ne!(error.whose, Whose::Host);
        let stranger = host.of_connection(Arc::default());
        stranger.reserve(LIMIT / 10).expect("its own share");
        let neighbour = host.of_connection(address);
        neighbour.reserve(SMALL).expect("small calls go on");
    }
}
