//! Limits on concurrent use: memory, compute time, streams, and the size of models.

pub mod allowance;
pub mod memory;
pub mod over_limit;
pub mod stream_slots;
