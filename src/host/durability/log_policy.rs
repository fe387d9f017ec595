//! What goes into the log: a small model whole; of a large one, the batch of a run and how its steps took it, which a start
//! does again. How much a start may have to do is bounded, and so is how much of the log one model holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::about::about;
use super::disk_thread::on_disk_thread;
use super::marks::mark;
use super::on_disk::OnDisk;
use super::persistence::Persistence;
use super::redo_budget::{Taken, UNIT};
use crate::host::models::handle::{ModelEntry, WriteTurn};
use crate::nn::Scalar;
use crate::store::{Kind, Record, Storage};
use crate::training::{Kept, Model, Redo, snapshot};

/// Models above this, in bytes, are not logged whole: the log would soon be full of them, and the disk is busier with
/// their bytes than with files.
const LARGEST_LOGGED: usize = 32 << 10;

/// Batches above this, in bytes, are not logged: a few would fill a segment.
const LARGEST_BATCH: usize = 256 << 10;

/// A batch is logged where the model is so many times larger: the room for it in the log is written twice.
const SMALLER_BY: usize = 8;

/// A model whose commits lie in more parts of the log than this is put into its file, so that they become free.
const MOST_SEGMENTS: usize = 8;

/// The work that a start may have with one model, in units: about half a second.
const MOST_WORK_OF_MODEL: usize = 50_000;

impl Persistence {
    /// Writes what was done to a model since `before` into the log, and tells whether it is durable now; where it is not,
    /// nothing has changed.
    pub(super) async fn log<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        model: &Arc<Model<T>>,
        turn: &Arc<WriteTurn>,
        before: &Kept<T>,
        taken: Option<Taken<T>>,
    ) -> bool {
        let (Some(queue), Some(file)) = (&self.queue, entry.on_disk(OnDisk::file)) else {
            return false;
        };
        if entry.deleted.is_cancelled() {
            return false;
        }
        let kept = model.kept();
        let step = kept.committed.step;
        let about = about(entry);
        let mark = mark(&about, step);
        let (content, work) = if model.spec().state_bytes() <= LARGEST_LOGGED {
            match snapshot::encode(model.spec(), &kept, &about) {
                Ok(whole) => (whole, None),
                Err(_) => return false,
            }
        } else {
            match self.redo(entry, model, before, kept, taken).await {
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
        // The turn lasts as long as the writing, even where nobody waits for that any more.
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
            // A crash may bring it back or not, so nothing is to come after it in the log.
            entry.note_replacing();
        }
        is_durable
    }

    /// What a run did since `before`, and the work to do it again; `None` where the whole model is better written.
    async fn redo<T: Scalar>(
        &self,
        entry: &ModelEntry,
        model: &Arc<Model<T>>,
        before: &Kept<T>,
        after: Kept<T>,
        taken: Option<Taken<T>>,
    ) -> Option<(Vec<u8>, OwnedSemaphorePermit)> {
        let Taken { plan, first } = taken?;
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
        // A digest that is not known yet reads every parameter.
        let encoded = on_disk_thread(encode).await;
        Some((encoded.ok()?.ok()?, work))
    }

    /// Looks after the folder: makes the manifest durable, and notices when the folder or the log was removed.
    pub async fn check(&self) {
        let check = |store: &dyn Storage| {
            store.check();
            Ok(())
        };
        // What is wrong it has told itself.
        let _ = self.with_store(check).await;
    }

    /// Removes what is void of the log; where its last part has been written for `patience`, that is to be emptied, too.
    /// Returns whether there is anything left.
    pub async fn tend_log(&self, patience: Duration) -> bool {
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
                tracing::error!(%error, "a part of the log cannot be removed yet");
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
