//! Decides what goes into the log: a small model as a whole; for a large one, the run's batch and a record to replay
//! its steps at startup. Bounds both the work of a replay and each model's share of the log.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::about::about;
use super::folder::Folder;
use super::marks::mark;
use super::on_disk::OnDisk;
use super::persistence::Persistence;
use super::redo_budget::{ReplayPlan, UNIT};
use crate::host::disk_thread::on_disk_thread;
use crate::host::models::handle::ModelEntry;
use crate::host::models::write_turn::WriteTurn;
use crate::nn::Scalar;
use crate::store::{Kind, Record, Storage};
use crate::training::{Model, Redo, Revision, RunData, snapshot};

/// Models above this size, in bytes, are never logged whole: they would fill the log, and writing them twice costs more
/// than writing their file.
const LARGEST_LOGGED: usize = 32 << 10;

/// Batches above this size, in bytes, are not logged: a few would fill a segment.
const LARGEST_BATCH: usize = 256 << 10;

/// A batch is logged only if the model is this many times larger, because log space is written twice.
const SMALLER_BY: usize = 8;

/// A model whose commits span more segments than this is written to its file, to free the segments.
const MOST_SEGMENTS: usize = 8;

/// Most work to replay one model at startup, in units: about half a second.
const MOST_WORK_OF_MODEL: usize = 50_000;

impl Folder {
    /// Logs the changes to a model since `before`, and returns whether they are durable. If not, nothing has changed.
    pub(super) async fn log<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        model: &Arc<Model<T>>,
        turn: &Arc<WriteTurn>,
        before: &Revision<T>,
        replay: Option<ReplayPlan<T>>,
    ) -> bool {
        let (Some(queue), Some(file)) = (&self.queue, entry.on_disk(OnDisk::file)) else {
            return false;
        };
        if entry.deleted.is_cancelled() {
            return false;
        }
        let revision = model.revision();
        let step = revision.committed.step;
        let about = about(entry);
        let mark = mark(&about, step);
        let (content, work) = if model.spec().state_bytes() <= LARGEST_LOGGED {
            match snapshot::encode(model.spec(), &revision, &about) {
                Ok(whole) => (whole, None),
                Err(_) => return false,
            }
        } else {
            match self.redo(entry, model, before, revision, replay).await {
                Some((redo, work)) => (redo, Some(work)),
                None => return false,
            }
        };
        let record = Record {
            session: entry.name.session.0.to_string(),
            model: entry.name.model.to_string(),
            anchor: file,
            mark,
            kind: match work {
                None => Kind::Snapshot,
                Some(_) => Kind::Redo,
            },
            content,
        };
        // The turn lasts until the write is done, even if the caller has left.
        let (written, turn) = (Arc::clone(entry), Arc::clone(turn));
        let added = queue.add(record, move |segment| {
            let _turn = turn;
            written.committed(|on_disk| match work {
                None => on_disk.logged(step, file, vec![segment]),
                Some(work) => on_disk.redo_logged(step, segment, work),
            });
        });
        let is_durable = added.await;
        if !is_durable {
            // After a crash the commit may or may not be there, so no later log commit may depend on it.
            entry.note_replacing();
        }
        is_durable
    }

    /// The record of a run since `before` and the work to replay it; `None` if it is cheaper to write the whole model.
    async fn redo<T: Scalar>(
        &self,
        entry: &ModelEntry,
        model: &Arc<Model<T>>,
        before: &Revision<T>,
        after: Revision<T>,
        replay: Option<ReplayPlan<T>>,
    ) -> Option<(Vec<u8>, OwnedSemaphorePermit)> {
        let ReplayPlan { plan, first } = replay?;
        if let RunData::Dataset { reference, .. } = &plan.data
            && !reference.is_lasting()
        {
            // A shared file can change or vanish before a replay.
            return None;
        }
        let redo = Redo {
            plan,
            first,
            before: Arc::clone(&before.committed),
            after,
        };
        let spec = model.spec();
        if redo.bytes() > LARGEST_BATCH.min(spec.state_bytes() / SMALLER_BY) {
            return None;
        }
        let (segments, logged) = entry.redo_after(before.committed.step)?;
        let work = usize::try_from(redo.operations(spec) / UNIT + 1).ok()?;
        if segments > MOST_SEGMENTS || work > MOST_WORK_OF_MODEL.saturating_sub(logged) {
            return None;
        }
        let work = u32::try_from(work).ok()?;
        let work = Arc::clone(&self.redo_work).try_acquire_many_owned(work);
        let work = work.ok()?;
        let (model, updated) = (Arc::clone(model), entry.updated());
        let encode = move || redo.encode(model.spec(), updated);
        // An unknown digest requires a pass over every parameter.
        let encoded = on_disk_thread(encode).await;
        Some((encoded.ok()?.ok()?, work))
    }

    /// Syncs the manifest, and detects that the folder or the log was removed.
    async fn check(&self) {
        let check = |store: &dyn Storage| {
            store.check();
            Ok(())
        };
        // The check logs its own findings.
        let _ = self.with_store(check).await;
    }

    async fn tend_log(&self, patience: Duration) -> bool {
        self.check().await;
        let Some(queue) = self.queue.as_ref().filter(|queue| queue.take_used()) else {
            return false;
        };
        let is_due = queue.is_due(patience);
        let tended = self.with_store(move |store| {
            if is_due {
                store.close_segment();
            }
            if let Err(error) = store.tidy_log() {
                tracing::error!(%error, "a log segment cannot be removed yet");
            }
            Ok(store.has_log())
        });
        let is_left = tended.await.unwrap_or(true);
        if is_left {
            queue.note_log();
        }
        is_left
    }
}

impl Persistence {
    /// Checks the folder, if there is one: syncs the manifest, and detects that the folder or the log was removed.
    pub async fn check(&self) {
        if let Some(folder) = self.folder() {
            folder.check().await;
        }
    }

    /// Removes segments without valid commits; closes the current segment for checkpoints once it is older than
    /// `patience`. Returns whether the log still has segments.
    pub async fn tend_log(&self, patience: Duration) -> bool {
        match self.folder() {
            Some(folder) => folder.tend_log(patience).await,
            None => false,
        }
    }
}
