//! Models on this server: created, loaded from disk, changed in turns, evicted from memory, deleted.

pub mod any_model;
mod copy;
mod creation;
pub mod creation_turns;
mod expiry;
pub mod file;
pub mod gradient_step;
pub mod handle;
pub mod lifecycle;
pub mod new_model;
pub mod replacement;
pub mod session_turns;
mod update;
pub mod write_turn;
