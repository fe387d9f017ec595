//! One file for each service, and for each method that does more than convert and call the host.

mod apply_gradients;
mod check_gradients;
mod copy_model;
mod create_model;
pub mod datasets;
mod evaluate;
mod explain;
mod grade_gradients;
mod gradients;
pub mod grading;
mod parameters;
mod predict;
mod reads;
mod runs;
pub mod server_info;
pub mod sessions;
mod streams;
pub mod training;
mod transfer;
mod update_model;
