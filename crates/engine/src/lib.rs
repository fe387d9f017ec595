//! The engine of backpropd, and the violations that every request is checked for.
//!
//! Pure: no IO, no clock, no thread of its own.

pub mod fault;
pub mod nn;
