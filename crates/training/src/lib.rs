//! What backpropd trains: models and their steps, runs, snapshots, sessions and their quotas.
//!
//! Pure: no IO, no clock, no thread of its own. Here the engine's numbers become `f32` or `f64`.

pub mod training;
