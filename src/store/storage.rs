//! The storage interface of the host. [`super::Store`] implements it with a folder on disk; any other implementation
//! must pass the tests in `tests/behaviour.rs`.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use super::disk::Disk;
use super::{Anchor, FoundSession, LoggedCommits, Mark, Marks, Record, Segment, Store};

/// Persistent storage of sessions, their models and a log of commits. It does not interpret contents. Ids consist of
/// lower-case letters, digits and hyphens. Once a method has returned `Ok`, its effect is durable.
pub trait Storage: Debug {
    /// Problems at startup, in sentences. The loss of a model is reported with the model instead.
    fn findings(&self) -> &[String];

    /// The sessions at startup, sorted by id; handed out once.
    fn take_sessions(&self) -> Vec<FoundSession>;

    /// Creates or replaces the record of a session.
    ///
    /// # Errors
    /// The previous record is still there, whole.
    fn put_session(&self, session: &str, record: &[u8]) -> io::Result<()>;

    /// Removes a session and its models; a missing session is not an error.
    ///
    /// # Errors
    /// Parts of it may remain; retrying is safe.
    fn delete_session(&self, session: &str) -> io::Result<()>;

    /// Moves a session to the trash, for this much uptime.
    ///
    /// # Errors
    /// The session is in its place or in the trash; retrying is safe.
    fn trash_session(&self, session: &str, seconds: u64) -> io::Result<()>;

    /// Counts down this much uptime in the trash, and returns how many sessions were removed.
    ///
    /// # Errors
    /// Some are not counted down or removed; retrying is safe.
    fn age_trash(&self, seconds: u64) -> io::Result<usize>;

    /// The ids of a session's models.
    ///
    /// # Errors
    /// They cannot be listed.
    fn models(&self, session: &str) -> io::Result<Vec<String>>;

    /// The last snapshot of a model, without its commits in the log.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn model(&self, session: &str, model: &str) -> io::Result<Vec<u8>>;

    /// Whether a model has a snapshot.
    fn has_model(&self, session: &str, model: &str) -> bool;

    /// Writes a snapshot of a model in an existing session. This invalidates the log's commits of the model. `mark` is
    /// the commit's position among those of the model.
    ///
    /// # Errors
    /// Either the previous or the new snapshot is there, whole.
    fn put_model(
        &self,
        session: &str,
        model: &str,
        snapshot: &[u8],
        mark: Option<Mark>,
    ) -> io::Result<Anchor>;

    /// Removes a model; a missing model is not an error.
    ///
    /// # Errors
    /// The model may or may not be there; retrying is safe.
    fn delete_model(&self, session: &str, model: &str) -> io::Result<()>;

    /// The path of a session's dataset.
    fn dataset(&self, session: &str, dataset: &str) -> PathBuf;

    /// The path at which to create the file of a new dataset of an existing session.
    ///
    /// # Errors
    /// Something else is in the way.
    fn new_dataset(&self, session: &str, dataset: &str) -> io::Result<PathBuf>;

    /// Removes a dataset; a missing one is not an error.
    ///
    /// # Errors
    /// It may or may not be there; retrying is safe.
    fn delete_dataset(&self, session: &str, dataset: &str) -> io::Result<()>;

    /// Adds commits to the log, makes them durable and returns their segment.
    ///
    /// # Errors
    /// No commit is acknowledged. After a crash before the next snapshot of its model, each may or may not be there.
    fn log(&self, records: &[Record]) -> io::Result<Segment>;

    /// The log's commits of a model at startup; handed out once.
    fn take_logged(&self, session: &str, model: &str) -> Option<LoggedCommits>;

    /// Moves commits at startup that were not taken into snapshots.
    ///
    /// # Errors
    /// A snapshot cannot be written.
    fn fold_rest(&self) -> io::Result<()>;

    /// Whether the log has any segment.
    fn has_log(&self) -> bool;

    /// The size of the log, in bytes.
    fn log_bytes(&self) -> usize;

    /// Closes the current segment; the next commit starts a new one.
    fn close_segment(&self);

    /// Removes segments without valid commits.
    ///
    /// # Errors
    /// Some remain; retrying is safe.
    fn tidy_log(&self) -> io::Result<()>;

    /// Preserves the current segments for inspection, because a model's last commit is missing.
    fn keep_log(&self);

    /// The last durable commit of every model at startup; handed out once. `None` if they are unknown.
    fn take_marks(&self) -> Option<Marks>;

    /// The last durable commit of a model, if known.
    fn mark(&self, session: &str, model: &str) -> Option<Mark>;

    /// Records that this commit of a model is durable.
    fn note(&self, session: &str, model: &str, mark: Mark);

    /// Makes the recorded marks durable.
    ///
    /// # Errors
    /// The disk refuses.
    fn sync_manifest(&self) -> io::Result<()>;

    /// Moves an unusable model to quarantine. Returns the new paths of its last snapshot and the previous one.
    ///
    /// # Errors
    /// It stays in its place.
    fn quarantine(&self, session: &str, model: &str) -> io::Result<(PathBuf, Option<PathBuf>)>;

    /// Session and model of everything in quarantine.
    ///
    /// # Errors
    /// They cannot be listed.
    fn quarantined(&self) -> io::Result<Vec<(String, String)>>;

    /// Persists the ages of sessions for the next startup.
    ///
    /// # Errors
    /// The next startup finds none.
    fn put_leases(&self, leases: &[u8]) -> io::Result<()>;

    /// The ages persisted by the last orderly shutdown; removes them.
    ///
    /// # Errors
    /// They cannot be read or removed.
    fn take_leases(&self) -> io::Result<Option<Vec<u8>>>;

    /// Checks that the storage is still in place: repairs the manifest, logs problems.
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

    fn dataset(&self, session: &str, dataset: &str) -> PathBuf {
        Self::dataset(self, session, dataset)
    }

    fn new_dataset(&self, session: &str, dataset: &str) -> io::Result<PathBuf> {
        Self::new_dataset(self, session, dataset)
    }

    fn delete_dataset(&self, session: &str, dataset: &str) -> io::Result<()> {
        Self::delete_dataset(self, session, dataset)
    }

    fn log(&self, records: &[Record]) -> io::Result<Segment> {
        Self::log(self, records)
    }

    fn take_logged(&self, session: &str, model: &str) -> Option<LoggedCommits> {
        Self::take_logged(self, session, model)
    }

    fn fold_rest(&self) -> io::Result<()> {
        Self::fold_rest(self)
    }

    fn has_log(&self) -> bool {
        Self::has_log(self)
    }

    fn log_bytes(&self) -> usize {
        Self::log_bytes(self)
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
