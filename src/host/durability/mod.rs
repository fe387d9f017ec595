//! What is kept over restarts, and when: a session and a model before CreateSession and CreateModel answer, a model
//! before a run or SetParameters is acknowledged, a deletion before it is.
//!
//! A small model goes into the log that all models share, on a thread that writes down at once whatever has gathered; of a
//! large one what a run did goes there, if that is small. All else, and what the log does not take, goes into the
//! model's file.
//!
//! A commit that fails leaves the model where the last one put it: the caller takes the step back in memory, and has that
//! written as soon as the disk takes it, which may hold either until then. Nothing is poisoned by a failed fsync, since
//! the next commit writes a new file from the start.

mod about;
mod checkpoints;
mod disk_thread;
mod file;
mod formats;
mod group_commit;
mod log_policy;
mod losses;
mod marks;
mod on_disk;
mod persistence;
mod redo_budget;
mod restore;
mod startup;

pub use self::about::about;
pub use self::formats::FORMATS;
pub use self::on_disk::OnDisk;
pub use self::persistence::{NotRead, Persistence};
pub use self::redo_budget::Taken;
pub use self::restore::note_session;
