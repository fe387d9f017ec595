//! Durability: what survives a restart, and from when. Sessions and models are durable before CreateSession and
//! CreateModel answer; runs (unless relaxed), SetParameters and deletions before they are acknowledged.
//!
//! Small models go into the log that all models share, through a thread that commits all waiting ones with one sync.
//! For a large model, the log holds only a record to replay its run, if that record is small. Everything else, and
//! everything that the log rejects, goes into the model's own file.
//!
//! A commit that fails leaves the last one in place: the caller rolls back the step in memory and schedules another
//! write, since the disk may hold either state until then. A failed fsync poisons nothing, because each commit writes a
//! new file from scratch.

mod about;
mod checkpoints;
mod commit;
mod commit_to_file;
mod commit_to_log;
mod folder;
mod formats;
mod group_commit;
mod losses;
mod marks;
mod on_disk;
mod persistence;
mod redo_budget;
mod restore;
mod startup;

pub use self::about::about;
pub use self::folder::NotRead;
pub use self::formats::FORMATS;
pub use self::on_disk::OnDisk;
pub use self::persistence::Persistence;
pub use self::redo_budget::ReplayPlan;
pub use self::restore::{Unusable, note_session, restore_model};
