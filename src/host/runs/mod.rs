//! Training runs: a TrainBatch from its request to its last commit, and the streams of its metrics.

mod commit_times;
mod conduct;
pub mod event;
pub mod step_feed;
mod stop_flag;
mod task;
mod train;
mod watch;

pub use self::train::{MANY_ENTRIES, RunEvents};
pub use self::watch::Watch;
