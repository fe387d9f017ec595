//! Commits into the log, and what a start finds there.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::Store;
use super::disk::Disk;
use super::log::{Log, Logged, Recovered, Segment};
use super::record::Record;

impl<D: Disk> Store<D> {
    /// Commits models whose files are known into the log, all at once. No two snapshots of a model may be the same, or
    /// a file that comes back would bring back what came after it.
    ///
    /// # Errors
    /// Nothing is acknowledged; put into its file, each of them is safe. A crash before may bring it back or not.
    pub fn log(&self, records: &[Record]) -> io::Result<Segment> {
        // Before: a folder that took the place of this one is not to be written into. After: what was written into one
        // that has lost its name meanwhile is not to be acknowledged.
        self.in_place()?;
        let segment = self.lock_log().add(&self.disk, records)?;
        self.in_place()?;
        let marks = records
            .iter()
            .map(|record| (&*record.session, &*record.model, record.mark));
        self.lock_manifest().note(&self.disk, marks);
        Ok(segment)
    }

    /// What the log held of a model when it was opened; handed out once, and with it the care for its segments.
    pub fn take_logged(&self, session: &str, model: &str) -> Option<Logged> {
        let model = (session.to_owned(), model.to_owned());
        self.lock_recovered().remove(&model)
    }

    /// Puts what nobody took from the log into its files; models that are damaged there go to quarantine. What only a
    /// redo makes of a model stays where it is.
    ///
    /// # Errors
    /// The rest is in the log still.
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

    /// Whether the log has a segment.
    pub fn has_log(&self) -> bool {
        !self.lock_log().is_empty()
    }

    /// Begins a new segment with the next commit, so that what counts in the last one can be written into files.
    pub fn close_segment(&self) {
        self.lock_log().close();
    }

    /// Removes segments in which nothing is valid.
    ///
    /// # Errors
    /// They are there still, which does no harm.
    pub fn tidy_log(&self) -> io::Result<()> {
        self.in_place()?;
        self.lock_log().tidy(&self.disk)
    }

    /// Has every part of the log kept in quarantine when nothing in it is valid any more: a model's last commit was lost
    /// from it, maybe.
    pub fn keep_log(&self) {
        self.lock_log().note_damage();
    }

    /// Makes what the manifest says durable, which its writers do not wait for, and looks whether the folder and the log
    /// are still in their places: what is valid in a segment that is not is to be written into files. Tells once what is
    /// wrong.
    pub fn check(&self) {
        let done = self.in_place();
        let done = done.and_then(|()| self.sync_manifest());
        let done = done.and_then(|()| self.lock_log().check_place(&self.disk));
        let done = done.and_then(|()| self.lock_manifest().check_place(&self.disk));
        let was_wrong = self.is_wrong.swap(done.is_err(), Ordering::Relaxed);
        if let Err(error) = done
            && !was_wrong
        {
            tracing::error!(%error, "the data folder is not as it should be");
        }
    }

    pub(super) fn lock_log(&self) -> MutexGuard<'_, Log<D::File>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_recovered(&self) -> MutexGuard<'_, Recovered> {
        self.recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
