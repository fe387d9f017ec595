//! Commits to the log, and what startup reads from it.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::Store;
use super::disk::Disk;
use super::log::{Log, LoggedCommits, RecoveredCommits, Segment};
use super::record::Record;

impl<D: Disk> Store<D> {
    /// Commits models with known files to the log, with one sync. Snapshots of a model must differ from each other: if
    /// an old file came back, commits based on an identical newer one would apply to it.
    ///
    /// # Errors
    /// No commit is acknowledged; each becomes safe once it is in its file. After a crash each may or may not be there.
    pub fn log(&self, records: &[Record]) -> io::Result<Segment> {
        // Checked before the write, so as not to write into a folder that has replaced this one, and after it, so as
        // not to acknowledge a write into a folder that has lost its name meanwhile.
        self.in_place()?;
        let segment = self.lock_log().add(&self.disk, records)?;
        self.in_place()?;
        let marks = records
            .iter()
            .map(|record| (&*record.session, &*record.model, record.mark));
        self.lock_manifest().note(&self.disk, marks);
        Ok(segment)
    }

    /// The log's contents for a model at startup; handed out once, together with the handles that keep its segments.
    pub fn take_logged(&self, session: &str, model: &str) -> Option<LoggedCommits> {
        let model = (session.to_owned(), model.to_owned());
        self.lock_recovered().remove(&model)
    }

    /// Moves what was not taken from the log into files, and damaged models to quarantine. Replay records stay in the
    /// log.
    ///
    /// # Errors
    /// The rest stays in the log.
    pub fn fold_rest(&self) -> io::Result<()> {
        let mut recovered = self.lock_recovered();
        let (mut folded, mut done) = (Vec::new(), Ok(()));
        for (model, logged) in recovered.iter() {
            done = match &logged.snapshot {
                _ if logged.is_damaged => self.quarantine(&model.0, &model.1).map(drop),
                Some(snapshot) if logged.redos.is_empty() => {
                    let put = self.put_model(&model.0, &model.1, snapshot, logged.mark);
                    put.map(drop)
                }
                Some(_) | None => continue,
            };
            if done.is_err() {
                break;
            }
            folded.push(model.clone());
        }
        for model in folded {
            recovered.remove(&model);
        }
        done
    }

    /// Whether the log has any segment.
    pub fn has_log(&self) -> bool {
        !self.lock_log().is_empty()
    }

    /// The size of the log, in bytes.
    pub fn log_bytes(&self) -> usize {
        self.lock_log().bytes()
    }

    /// Starts a new segment with the next commit, so that the commits in the current one can be checkpointed.
    pub fn close_segment(&self) {
        self.lock_log().close();
    }

    /// Removes segments without valid commits.
    ///
    /// # Errors
    /// They remain, which is harmless.
    pub fn tidy_log(&self) -> io::Result<()> {
        self.in_place()?;
        self.lock_log().tidy(&self.disk)
    }

    /// Makes every current segment go to quarantine instead of being removed, because it may hold a model's last
    /// commit.
    pub fn keep_log(&self) {
        self.lock_log().note_damage();
    }

    /// Makes the manifest durable, since its writers do not sync, and checks that the folder and the log are still in
    /// place. The commits in a displaced segment must be checkpointed. Logs a problem once.
    pub fn check(&self) {
        let done = self.in_place();
        let done = done.and_then(|()| self.sync_manifest());
        let done = done.and_then(|()| self.lock_log().check_place(&self.disk));
        let done = done.and_then(|()| self.lock_manifest().check_place(&self.disk));
        let was_wrong = self.is_wrong.swap(done.is_err(), Ordering::Relaxed);
        if let Err(error) = done
            && !was_wrong
        {
            tracing::error!(%error, "the check of the data folder failed");
        }
    }

    pub(super) fn lock_log(&self) -> MutexGuard<'_, Log<D::File>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_recovered(&self) -> MutexGuard<'_, RecoveredCommits> {
        self.recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
