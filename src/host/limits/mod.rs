//! How much at once: memory, time on the compute threads, streams, models.

pub mod allowance;
pub mod memory;
pub mod over_limit;
pub mod stream_slots;
