//! The handle of a model: the model with its queue of writers, its watchers' feeds and its times.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use crate::host::durability::OnDisk;
use crate::host::models::any_model::{AnyModel, CurrentModel};
use crate::host::models::write_turn::WriteTurns;
use crate::host::refused::{Refused, Stop};
use crate::host::runs::model_runs::ModelRuns;
use crate::host::runs::step_feed::Feed;
use crate::host::shared::SharedCopy;
use crate::store::Segment;
use crate::training::{Access, CompareTerms, ModelName, RequestId};

/// A model with its state on this server.
#[derive(Debug)]
pub struct ModelEntry {
    /// Its name.
    pub name: ModelName,
    /// The model.
    pub model: CurrentModel,
    /// Cancelled when the model is deleted, its session expires, or another node has changed it.
    pub deleted: CancellationToken,
    has_moved: AtomicBool,
    /// The access that callers have.
    pub access: Access,
    /// The terms of comparisons, for a COMPARE_ONLY model whose creator fixed them.
    pub compare: Option<CompareTerms>,
    /// The CreateModel request that created it, if that has a request id.
    pub made_by: Option<RequestId>,
    /// When it was created.
    pub created: SystemTime,
    /// Nanoseconds since 1970.
    updated: AtomicU64,
    durable: Mutex<Durable>,
    /// Which version of the model the store has that this node shares with others, if there is such a store.
    pub shared: SharedCopy,
    /// Whose turn it is to change it.
    pub turns: WriteTurns,
    /// Its runs, waiting, in progress and past.
    pub runs: Arc<ModelRuns>,
    feeds: Mutex<Vec<Arc<Feed>>>,
}

/// What of a model is durable.
#[derive(Debug, Default)]
struct Durable {
    on_disk: OnDisk,
    /// Whether something was acknowledged that is not committed yet.
    is_behind: bool,
}

impl ModelEntry {
    /// Wraps a newly created model.
    pub fn new(
        name: ModelName,
        model: AnyModel,
        access: Access,
        made_by: Option<RequestId>,
        now: SystemTime,
    ) -> Self {
        let entry = Self {
            name,
            model: CurrentModel::new(model),
            deleted: CancellationToken::new(),
            has_moved: AtomicBool::new(false),
            access,
            compare: None,
            made_by,
            created: now,
            updated: AtomicU64::new(0),
            durable: Mutex::default(),
            shared: SharedCopy::default(),
            turns: WriteTurns::default(),
            runs: Arc::default(),
            feeds: Mutex::new(Vec::new()),
        };
        entry.touch(now);
        entry
    }

    /// Sets the terms of comparisons.
    pub fn with_compare(self, compare: Option<CompareTerms>) -> Self {
        Self { compare, ..self }
    }

    /// A fresh handle for the same model, after the disk refused its deletion: nothing is lost, and training can
    /// continue. The caller holds the turn to change it.
    pub fn revived(&self) -> Self {
        let durable = std::mem::take(&mut *self.durable());
        let model = self.model.get();
        let (access, made_by) = (self.access, self.made_by.clone());
        let revived = Self::new(self.name.clone(), model, access, made_by, self.created);
        let mut revived = revived.with_compare(self.compare);
        revived.runs = Arc::clone(&self.runs);
        revived.set_updated(self.updated());
        *revived.durable() = durable;
        revived.shared = self.shared.take();
        revived
    }

    /// Ends every use of this handle, because another node has changed the model: the next call reads the model anew.
    pub fn note_moved(&self) {
        self.has_moved.store(true, Ordering::Release);
        self.deleted.cancel();
    }

    /// Why uses of this handle end when `deleted` is cancelled.
    pub fn stop(&self) -> Stop {
        if self.has_moved.load(Ordering::Acquire) {
            Stop::Moved
        } else {
            Stop::Deleted
        }
    }

    /// The refusal for a call that uses this handle when `deleted` is cancelled.
    pub fn gone(&self) -> Refused {
        Refused::Stopped(self.stop())
    }

    /// The step of the last commit on disk, if any.
    pub fn durable_step(&self) -> Option<u64> {
        self.durable().on_disk.step()
    }

    /// Whether something was acknowledged that is not committed yet.
    pub fn is_behind(&self) -> bool {
        self.durable().is_behind
    }

    /// Records an acknowledgement from memory. Returns whether it is the first since the last commit.
    pub fn note_behind(&self) -> bool {
        !std::mem::replace(&mut self.durable().is_behind, true)
    }

    /// Calls `look` with the state on disk.
    pub fn on_disk<V>(&self, look: impl FnOnce(&OnDisk) -> V) -> V {
        look(&self.durable().on_disk)
    }

    /// Applies `commit`, a transition of the state on disk to a commit of everything acknowledged so far.
    pub fn committed(&self, commit: impl FnOnce(&mut OnDisk)) {
        let mut durable = self.durable();
        commit(&mut durable.on_disk);
        durable.is_behind = false;
    }

    /// Records that the file is about to be replaced, or that a log write has failed.
    pub fn note_replacing(&self) {
        self.durable().on_disk.replacing();
    }

    /// Number of log segments newer than the file, and units of work to replay them; `None` unless `last` is the last
    /// commit's step and nothing was acknowledged after it.
    pub fn redo_after(&self, last: u64) -> Option<(usize, usize)> {
        let durable = self.durable();
        let redo = durable.on_disk.redo_after(last);
        redo.filter(|_| !durable.is_behind)
    }

    /// Whether the model may be evicted: its file has everything that was acknowledged, and there are no writers.
    pub fn may_leave_memory(&self) -> bool {
        let durable = self.durable();
        let is_safe = durable.on_disk.is_whole_in_file() && !durable.is_behind;
        (is_safe || self.stop() == Stop::Moved) && !self.is_training()
    }

    /// Whether the log has commits that the file lacks.
    pub fn is_logged(&self) -> bool {
        !self.durable().on_disk.segments().is_empty()
    }

    /// Whether the model has commits in a closed segment of the log, which must be moved to its file.
    pub fn is_to_be_filed(&self) -> bool {
        let durable = self.durable();
        durable.on_disk.segments().iter().any(Segment::is_closed)
    }

    fn durable(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a step or SetParameters last changed it.
    pub fn updated(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.updated.load(Ordering::Relaxed))
    }

    /// Restores the persisted time of the last change.
    pub fn set_updated(&self, then: SystemTime) {
        let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.updated.store(nanos, Ordering::Relaxed);
    }

    /// Records a change. Every change has a distinct time, so that no two snapshots have the same bytes: the log
    /// identifies files by that.
    pub fn touch(&self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // The previous value is irrelevant, and the closure always succeeds.
        let _ = self
            .updated
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                Some(now.max(before.saturating_add(1)))
            });
    }

    /// Whether there are writers, active or waiting.
    pub fn is_training(&self) -> bool {
        self.turns.writers() > 0
    }

    /// Tells the model's watchers that a call that is no run has changed it.
    pub fn tell_watchers(&self) {
        for watcher in self.feeds() {
            watcher.model_changed();
        }
    }

    /// The feeds of the model's watchers.
    pub fn feeds(&self) -> Vec<Arc<Feed>> {
        self.lock_feeds().clone()
    }

    /// Adds a watcher's feed.
    ///
    /// # Errors
    /// There are `max` watchers already.
    pub fn follow(&self, feed: Arc<Feed>, max: usize) -> Result<(), Refused> {
        let mut feeds = self.lock_feeds();
        if feeds.len() >= max {
            let message = format!(
                "{} has {max} watchers already (max_watchers_per_model): end one first",
                self.name
            );
            return Err(Refused::quota(
                "max_watchers_per_model",
                max as u64,
                message,
            ));
        }
        feeds.push(feed);
        Ok(())
    }

    /// Removes a watcher's feed.
    pub fn unfollow(&self, feed: &Arc<Feed>) {
        self.lock_feeds().retain(|other| !Arc::ptr_eq(other, feed));
    }

    fn lock_feeds(&self) -> MutexGuard<'_, Vec<Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
