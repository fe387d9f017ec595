//! backpropd.
pub mod nn;
pub mod service;
pub mod training;
