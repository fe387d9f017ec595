//! The memory of conversions: a call's own while its request is read, a reservation of its reply's after that.

use std::sync::Arc;

use backpropd_json::Memory;

use crate::host::caller::Caller;
use crate::host::limits::memory::{OutOfMemory, Reservation};

/// The memory of a call in progress.
pub struct OfCall(pub Arc<Caller>);

impl Memory for OfCall {
    type Error = OutOfMemory;

    fn hold(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.0.hold(bytes)
    }

    fn release(&mut self, bytes: usize) {
        self.0.release(bytes);
    }
}

impl Memory for Reservation {
    type Error = OutOfMemory;

    fn hold(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.extend(bytes)
    }

    fn release(&mut self, bytes: usize) {
        self.shrink(bytes);
    }
}
