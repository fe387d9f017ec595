//! A TrainBatch from its request to its last commit, and the models that are watched meanwhile.

mod commits;
mod conduct;
pub mod event;
pub mod step_feed;
mod stop_flag;
mod task;
mod train;
mod watch;

pub use self::train::{MANY_ENTRIES, RunEvents};
pub use self::watch::Watch;
