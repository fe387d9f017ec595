//! backpropd.
pub mod service;
