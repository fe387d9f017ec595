//! Memory that calls under way may take together: messages, their replies, workspaces. A call that finds none is
//! refused at once, where a process that finds none is killed with every other call in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::Status;

use super::status::queue_full;

/// What is counted; smaller takings count as one.
const UNIT: usize = 1 << 10;

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Memory {
    /// In units.
    free: Arc<AtomicUsize>,
    limit: usize,
}

/// A part of it; given back when dropped.
#[derive(Debug, Default)]
pub struct Reservation {
    units: usize,
    from: Option<Arc<AtomicUsize>>,
}

impl Memory {
    /// `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            free: Arc::new(AtomicUsize::new(limit / UNIT)),
            limit,
        }
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// There are not so many left.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, Status> {
        let mut reservation = Reservation::default();
        self.extend(&mut reservation, bytes)?;
        Ok(reservation)
    }

    /// Takes `bytes` more into `reservation`.
    ///
    /// # Errors
    /// There are not so many left; the reservation stays as it is.
    pub fn extend(&self, reservation: &mut Reservation, bytes: usize) -> Result<(), Status> {
        let units = bytes.div_ceil(UNIT);
        // A count and nothing else: no memory is published by it.
        let taken = self
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                free.checked_sub(units)
            });
        if taken.is_err() {
            let what = "the calls under way have taken the memory that they may";
            return Err(queue_full("max_in_flight_bytes", self.limit, what));
        }
        reservation.units += units;
        reservation
            .from
            .get_or_insert_with(|| Arc::clone(&self.free));
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(free) = &self.from {
            free.fetch_add(self.units, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_missing_until_it_is_given_back() {
        let memory = Memory::new(10 << 10);
        let mut first = memory.reserve(6 << 10).expect("room");
        assert!(memory.reserve(5 << 10).is_err());
        memory.extend(&mut first, 4 << 10).expect("room");
        assert!(memory.reserve(1).is_err());
        drop(first);
        memory.reserve(10 << 10).expect("all of it is back");
    }
}
