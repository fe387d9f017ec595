//! Bytes that grow, with the memory for them reserved first.

use std::convert::Infallible;

/// Where the memory of a conversion is reserved.
///
/// After a success, the capacity of the returned vector is held; after a failure, nothing is.
pub trait Memory {
    /// Why memory is refused.
    type Error;

    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// There is not enough.
    fn hold(&mut self, bytes: usize) -> Result<(), Self::Error>;

    /// Gives `bytes` back.
    fn release(&mut self, bytes: usize);
}

/// Memory without a limit, for a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Memory for Unlimited {
    type Error = Infallible;

    fn hold(&mut self, _: usize) -> Result<(), Infallible> {
        Ok(())
    }

    fn release(&mut self, _: usize) {}
}

/// The least capacity of a buffer that is not empty.
const LEAST: usize = 256;

/// A vector whose capacity is held.
pub(crate) struct Buffer<'m, M: Memory> {
    bytes: Vec<u8>,
    memory: &'m mut M,
}

impl<'m, M: Memory> Buffer<'m, M> {
    pub(crate) fn new(memory: &'m mut M) -> Self {
        Self {
            bytes: Vec::new(),
            memory,
        }
    }

    /// Makes room for `more` bytes. The old allocation lives until the new one is filled, so both are held for a moment.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), M::Error> {
        let (length, old) = (self.bytes.len(), self.bytes.capacity());
        if old - length >= more {
            return Ok(());
        }
        let new = length
            .saturating_add(more)
            .max(old.saturating_mul(2))
            .max(LEAST);
        self.memory.hold(new)?;
        self.bytes.reserve_exact(new - length);
        self.memory.release(old);
        Ok(())
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), M::Error> {
        self.reserve(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes. They may be changed and made longer within the room that [`Self::reserve`] made.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Where further memory of the conversion is held.
    pub(crate) fn memory(&mut self) -> &mut M {
        self.memory
    }

    /// The bytes, whose capacity stays held.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl<M: Memory> Drop for Buffer<'_, M> {
    fn drop(&mut self) {
        self.memory.release(self.bytes.capacity());
    }
}

/// Appends to a vector whose capacity is held.
///
/// # Errors
/// There is no memory for more.
pub fn append<M: Memory>(bytes: &mut Vec<u8>, more: &[u8], memory: &mut M) -> Result<(), M::Error> {
    let (length, old) = (bytes.len(), bytes.capacity());
    if old - length < more.len() {
        let new = (length + more.len()).max(old.saturating_mul(2));
        memory.hold(new)?;
        bytes.reserve_exact(new - length);
        memory.release(old);
    }
    bytes.extend_from_slice(more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Budget {
        held: usize,
        limit: usize,
        most: usize,
    }

    impl Memory for Budget {
        type Error = ();

        fn hold(&mut self, bytes: usize) -> Result<(), ()> {
            if self.held + bytes > self.limit {
                return Err(());
            }
            self.held += bytes;
            self.most = self.most.max(self.held);
            Ok(())
        }

        fn release(&mut self, bytes: usize) {
            self.held = self.held.checked_sub(bytes).expect("held before");
        }
    }

    fn budget(limit: usize) -> Budget {
        Budget {
            held: 0,
            limit,
            most: 0,
        }
    }

    #[test]
    fn the_capacity_is_held_until_the_end_and_after_it() {
        let mut memory = budget(10_000);
        let mut buffer = Buffer::new(&mut memory);
        for _ in 0..1000 {
            buffer.put(b"abc").expect("room");
        }
        let bytes = buffer.finish();
        assert_eq!(bytes.len(), 3000);
        assert_eq!(memory.held, bytes.capacity());
        assert!(memory.most >= bytes.capacity() * 3 / 2, "the old one, too");
    }

    #[test]
    fn a_buffer_that_cannot_grow_gives_all_of_it_back() {
        let mut memory = budget(10_000);
        let mut buffer = Buffer::new(&mut memory);
        let mut put = 0;
        while buffer.put(b"abcdefgh").is_ok() {
            put += 8;
        }
        assert!(put >= 3000, "{put}");
        drop(buffer);
        assert_eq!(memory.held, 0);
    }
}
