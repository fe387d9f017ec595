//! What the host asks of a place that keeps sessions and models. A folder on a disk is one ([`super::Store`]); another
//! kind is one more implementation, which the behaviours in `tests/behaviour.rs` have to hold for.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use super::disk::Disk;
use super::{Anchor, FoundSession, Logged, Mark, Marks, Record, Segment, Store};

/// A place that keeps sessions, their models and a log of commits. What the bytes mean is the caller's business; ids are
/// lower-case letters, digits and hyphens. What a method has returned `Ok` for is durable.
pub trait Storage: Debug {
    /// What was wrong with the place when it was opened, in sentences. Damage that costs a model is told with the model.
    fn findings(&self) -> &[String];

    /// Every session that was there when the place was opened, in the order of their ids; handed out once.
    fn take_sessions(&self) -> Vec<FoundSession>;

    /// Stores the record of a session, new or in place of the one before.
    ///
    /// # Errors
    /// The record before is still there, whole.
    fn put_session(&self, session: &str, record: &[u8]) -> io::Result<()>;

    /// Removes a session and its models; one that is not there is removed already.
    ///
    /// # Errors
    /// Some of it may be there; removing it again is right.
    fn delete_session(&self, session: &str) -> io::Result<()>;

    /// Moves a session to the trash, for this much uptime.
    ///
    /// # Errors
    /// The session is where it was, or in the trash; moving it again is right.
    fn trash_session(&self, session: &str, seconds: u64) -> io::Result<()>;

    /// Counts this much uptime for what is in the trash, and returns how many sessions it removed.
    ///
    /// # Errors
    /// Some are not counted or removed; trying again is right.
    fn age_trash(&self, seconds: u64) -> io::Result<usize>;

    /// The ids of a session's models.
    ///
    /// # Errors
    /// They cannot be listed.
    fn models(&self, session: &str) -> io::Result<Vec<String>>;

    /// The last snapshot of a model, without what is in the log.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn model(&self, session: &str, model: &str) -> io::Result<Vec<u8>>;

    /// Whether a model has a snapshot.
    fn has_model(&self, session: &str, model: &str) -> bool;

    /// Stores a snapshot of a model, in a session that is there. Commits in the log before it are void. `mark` says where it
    /// stands among the commits of the model.
    ///
    /// # Errors
    /// The snapshot before is still there, whole, or the new one is.
    fn put_model(
        &self,
        session: &str,
        model: &str,
        snapshot: &[u8],
        mark: Option<Mark>,
    ) -> io::Result<Anchor>;

    /// Removes a model; one that is not there is removed already.
    ///
    /// # Errors
    /// The model may be there or not; removing it again is right.
    fn delete_model(&self, session: &str, model: &str) -> io::Result<()>;

    /// Adds commits to the log, and returns the part of the log that they are in once they are durable.
    ///
    /// # Errors
    /// None of them counts, unless the process ends before the next snapshot of its model.
    fn log(&self, records: &[Record]) -> io::Result<Segment>;

    /// What the log held of a model when the place was opened; handed out once.
    fn take_logged(&self, session: &str, model: &str) -> Option<Logged>;

    /// Settles what the log holds of models that were not asked for.
    ///
    /// # Errors
    /// A snapshot cannot be written.
    fn fold_rest(&self) -> io::Result<()>;

    /// Whether the log holds anything.
    fn has_log(&self) -> bool;

    /// Ends the part of the log that is being written; the next commit begins another.
    fn close_segment(&self);

    /// Removes the parts of the log in which no commit counts.
    ///
    /// # Errors
    /// Some are still there; trying again is right.
    fn tidy_log(&self) -> io::Result<()>;

    /// Keeps the log as it was found, for a person to look at: a model's last commit is missing.
    fn keep_log(&self);

    /// The last durable commit of every model, as the place knew it when it was opened; handed out once. `None` where it did
    /// not know.
    fn take_marks(&self) -> Option<Marks>;

    /// The last durable commit of a model, as far as the place knows.
    fn mark(&self, session: &str, model: &str) -> Option<Mark>;

    /// Notes that this commit of a model is durable.
    fn note(&self, session: &str, model: &str, mark: Mark);

    /// Makes the notes durable.
    ///
    /// # Errors
    /// The disk refuses.
    fn sync_manifest(&self) -> io::Result<()>;

    /// Sets a model aside that cannot be used. Returns where its last snapshot is now, and the one before.
    ///
    /// # Errors
    /// It stays where it is.
    fn quarantine(&self, session: &str, model: &str) -> io::Result<(PathBuf, Option<PathBuf>)>;

    /// The sessions and models that are set aside.
    ///
    /// # Errors
    /// They cannot be listed.
    fn quarantined(&self) -> io::Result<Vec<(String, String)>>;

    /// Stores the ages of sessions for the next startup.
    ///
    /// # Errors
    /// There are none then.
    fn put_leases(&self, leases: &[u8]) -> io::Result<()>;

    /// The ages that the last orderly shutdown stored, which are removed.
    ///
    /// # Errors
    /// They cannot be read or removed.
    fn take_leases(&self) -> io::Result<Option<Vec<u8>>>;

    /// Looks at the place: mends what is missing, and remembers what is wrong.
    fn check(&self);
}

impl<D: Disk + Debug> Storage for Store<D>
where
    D::File: Debug,
{
    fn findings(&self) -> &[String] {
        Self::findings(self)
    }

    fn take_sessions(&self) -> Vec<FoundSession> {
        Self::take_sessions(self)
    }

    fn put_session(&self, session: &str, record: &[u8]) -> io::Result<()> {
        Self::put_session(self, session, record)
    }

    fn delete_session(&self, session: &str) -> io::Result<()> {
        Self::delete_session(self, session)
    }

    fn trash_session(&self, session: &str, seconds: u64) -> io::Result<()> {
        Self::trash_session(self, session, seconds)
    }

    fn age_trash(&self, seconds: u64) -> io::Result<usize> {
        Self::age_trash(self, seconds)
    }

    fn models(&self, session: &str) -> io::Result<Vec<String>> {
        Self::models(self, session)
    }

    fn model(&self, session: &str, model: &str) -> io::Result<Vec<u8>> {
        Self::model(self, session, model)
    }

    fn has_model(&self, session: &str, model: &str) -> bool {
        Self::has_model(self, session, model)
    }

    fn put_model(
        &self,
        session: &str,
        model: &str,
        snapshot: &[u8],
        mark: Option<Mark>,
    ) -> io::Result<Anchor> {
        Self::put_model(self, session, model, snapshot, mark)
    }

    fn delete_model(&self, session: &str, model: &str) -> io::Result<()> {
        Self::delete_model(self, session, model)
    }

    fn log(&self, records: &[Record]) -> io::Result<Segment> {
        Self::log(self, records)
    }

    fn take_logged(&self, session: &str, model: &str) -> Option<Logged> {
        Self::take_logged(self, session, model)
    }

    fn fold_rest(&self) -> io::Result<()> {
        Self::fold_rest(self)
    }

    fn has_log(&self) -> bool {
        Self::has_log(self)
    }

    fn close_segment(&self) {
        Self::close_segment(self)
    }

    fn tidy_log(&self) -> io::Result<()> {
        Self::tidy_log(self)
    }

    fn keep_log(&self) {
        Self::keep_log(self)
    }

    fn take_marks(&self) -> Option<Marks> {
        Self::take_marks(self)
    }

    fn mark(&self, session: &str, model: &str) -> Option<Mark> {
        Self::mark(self, session, model)
    }

    fn note(&self, session: &str, model: &str, mark: Mark) {
        Self::note(self, session, model, mark)
    }

    fn sync_manifest(&self) -> io::Result<()> {
        Self::sync_manifest(self)
    }

    fn quarantine(&self, session: &str, model: &str) -> io::Result<(PathBuf, Option<PathBuf>)> {
        Self::quarantine(self, session, model)
    }

    fn quarantined(&self) -> io::Result<Vec<(String, String)>> {
        Self::quarantined(self)
    }

    fn put_leases(&self, leases: &[u8]) -> io::Result<()> {
        Self::put_leases(self, leases)
    }

    fn take_leases(&self) -> io::Result<Option<Vec<u8>>> {
        Self::take_leases(self)
    }

    fn check(&self) {
        Self::check(self)
    }
}
