//! Training for backpropd: models and their steps, runs, snapshots, sessions and quotas.
//!
//! Pure: no IO, no clock, no thread of its own. The engine's generic numbers become `f32` or `f64` here.

pub mod training;
