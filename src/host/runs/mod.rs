//! Training runs: a TrainBatch from its request to its last commit, and the streams of its metrics.

pub mod book;
mod commit_times;
mod conduct;
mod curve;
pub mod event;
pub mod held_out;
pub mod model_runs;
pub mod record;
pub mod step_feed;
mod stop_flag;
pub mod stop_training;
mod task;
mod train;
mod watch;

pub use self::train::{MANY_ENTRIES, RunEvents};
pub use self::watch::Watch;
