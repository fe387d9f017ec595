//! What the server keeps of a model besides the model: its queue of writers, its readers' feeds, its times.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::host::durability::OnDisk;
use crate::host::models::any_model::AnyModel;
use crate::host::refused::Refused;
use crate::host::runs::step_feed::Feed;
use crate::store::Segment;
use crate::training::{Access, CompareTerms, ModelName, RequestId};

/// A model and what surrounds it on the server.
#[derive(Debug)]
pub struct ModelEntry {
    /// Its name.
    pub name: ModelName,
    /// The model.
    pub model: AnyModel,
    /// Cancelled when it is deleted or its session expires.
    pub deleted: CancellationToken,
    /// What may be done with it.
    pub access: Access,
    /// What it is compared on, where only that may be done with it and its maker said.
    pub compare: Option<CompareTerms>,
    /// The CreateModel request that made it, if that wants to be done once.
    pub made_by: Option<RequestId>,
    /// When it was made.
    pub created: SystemTime,
    /// Since 1970, in nanoseconds.
    updated: AtomicU64,
    durable: Mutex<Durable>,
    writer: Arc<Semaphore>,
    /// Writers at work and waiting.
    writers: Arc<AtomicUsize>,
    feeds: Mutex<Vec<Arc<Feed>>>,
}

/// What is durable of a model, and what is not yet.
#[derive(Debug, Default)]
struct Durable {
    on_disk: OnDisk,
    /// Whether something was acknowledged that no commit holds yet.
    is_behind: bool,
}

/// The turn to change a model; the next writer's begins when it is dropped.
#[derive(Debug)]
pub struct WriteTurn {
    _permit: OwnedSemaphorePermit,
    _place: Option<Place>,
}

/// A place in a model's queue.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ModelEntry {
    /// A model just made.
    pub fn new(
        name: ModelName,
        model: AnyModel,
        access: Access,
        made_by: Option<RequestId>,
        now: SystemTime,
    ) -> Self {
        let entry = Self {
            name,
            model,
            deleted: CancellationToken::new(),
            access,
            compare: None,
            made_by,
            created: now,
            updated: AtomicU64::new(0),
            durable: Mutex::default(),
            writer: Arc::new(Semaphore::new(1)),
            writers: Arc::new(AtomicUsize::new(0)),
            feeds: Mutex::new(Vec::new()),
        };
        entry.touch(now);
        entry
    }

    /// The same, compared on these terms.
    pub fn with_compare(self, compare: Option<CompareTerms>) -> Self {
        Self { compare, ..self }
    }

    /// The same model after a deletion that the disk refused: nothing is lost of it, and it can be trained again. The
    /// caller has the turn to change it.
    pub fn revived(&self) -> Self {
        let durable = std::mem::take(&mut *self.durable());
        let model = self.model.clone();
        let (access, made_by) = (self.access, self.made_by.clone());
        let revived = Self::new(self.name.clone(), model, access, made_by, self.created);
        let revived = revived.with_compare(self.compare);
        revived.set_updated(self.updated());
        *revived.durable() = durable;
        revived
    }

    /// The step of its last commit on disk, if there is one.
    pub fn durable_step(&self) -> Option<u64> {
        self.durable().on_disk.step()
    }

    /// Whether something was acknowledged that no commit on disk holds.
    pub fn is_behind(&self) -> bool {
        self.durable().is_behind
    }

    /// Notes that something is acknowledged from memory. Returns whether nothing was before.
    pub fn note_behind(&self) -> bool {
        !std::mem::replace(&mut self.durable().is_behind, true)
    }

    /// What `look` makes of what the disk has of it.
    pub fn on_disk<V>(&self, look: impl FnOnce(&OnDisk) -> V) -> V {
        look(&self.durable().on_disk)
    }

    /// Moves what the disk has of it on. `commit` is a transition to a commit of everything acknowledged so far.
    pub fn committed(&self, commit: impl FnOnce(&mut OnDisk)) {
        let mut durable = self.durable();
        commit(&mut durable.on_disk);
        durable.is_behind = false;
    }

    /// Notes that its file is about to be replaced, or that a commit to the log has failed.
    pub fn note_replacing(&self) {
        self.durable().on_disk.replacing();
    }

    /// Whether the disk has the step `last` as its last commit, and nothing was acknowledged after it: then how many parts
    /// of the log come after its file, and the units of work to replay them.
    pub fn redo_after(&self, last: u64) -> Option<(usize, usize)> {
        let durable = self.durable();
        let redo = durable.on_disk.redo_after(last);
        redo.filter(|_| !durable.is_behind)
    }

    /// Whether memory may forget it: its file has everything that was acknowledged, and no writer is at work.
    pub fn may_leave_memory(&self) -> bool {
        let durable = self.durable();
        durable.on_disk.is_whole_in_file() && !durable.is_behind && !self.is_training()
    }

    /// Whether something of it is in the log and not in its file.
    pub fn is_logged(&self) -> bool {
        !self.durable().on_disk.segments().is_empty()
    }

    /// Whether a part of the log that holds something of it is to be emptied.
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

    /// Goes on from the time at which it was written down.
    pub fn set_updated(&self, then: SystemTime) {
        let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.updated.store(nanos, Ordering::Relaxed);
    }

    /// Notes a change. No two changes have the same time, so that no two snapshots have the same bytes: the log tells
    /// files apart by that.
    pub fn touch(&self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // What was there before is of no interest, and the closure refuses nothing.
        let _ = self
            .updated
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                Some(now.max(before.saturating_add(1)))
            });
    }

    /// Whether somebody writes or waits to.
    pub fn is_training(&self) -> bool {
        self.writers.load(Ordering::Relaxed) > 0
    }

    /// How many writers are at work or wait.
    #[cfg(test)]
    pub fn writers(&self) -> usize {
        self.writers.load(Ordering::Relaxed)
    }

    /// Waits for the turn to write the model down, which takes no place from those who want to change it.
    ///
    /// # Errors
    /// None: the turns never end.
    pub async fn turn_to_store(&self) -> Result<WriteTurn, Refused> {
        self.wait(None).await
    }

    /// The turn to write the model down, if nobody has it or waits for it.
    pub fn turn_if_free(&self) -> Option<WriteTurn> {
        let permit = Arc::clone(&self.writer).try_acquire_owned().ok()?;
        Some(WriteTurn {
            _permit: permit,
            _place: None,
        })
    }

    /// Waits for the turn to change the model, first come, first served. Returns how many came before.
    ///
    /// # Errors
    /// More wait already than `config` allows, or the turn does not come in the time that it allows.
    pub async fn write_turn(&self, config: &Config) -> Result<(WriteTurn, usize), Refused> {
        let before = self.writers.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.writers));
        let max_waiting = config.max_waiting_runs_per_model;
        if before > max_waiting {
            let what = format!("too many runs wait for {}", self.name);
            return Err(Refused::queue_full(
                "max_waiting_runs_per_model",
                max_waiting,
                &what,
            ));
        }
        let patience = Duration::from_secs(config.max_wait_seconds);
        let turn = tokio::time::timeout(patience, self.wait(Some(place))).await;
        let turn = turn.unwrap_or_else(|_| Err(Refused::waited_too_long(&self.name, patience)))?;
        Ok((turn, before))
    }

    async fn wait(&self, place: Option<Place>) -> Result<WriteTurn, Refused> {
        let permit = Arc::clone(&self.writer).acquire_owned().await;
        Ok(WriteTurn {
            _permit: permit.map_err(|_| Refused::Bug)?,
            _place: place,
        })
    }

    /// Resolves when everybody who writes or waits to is done.
    pub async fn idle(&self) {
        // First come, first served: the permit comes after all of theirs. The semaphore is never closed.
        let _ = self.writer.acquire().await;
    }

    /// Whoever follows the model now.
    pub fn feeds(&self) -> Vec<Arc<Feed>> {
        self.lock_feeds().clone()
    }

    /// Adds a follower.
    ///
    /// # Errors
    /// There are `max` already.
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

    /// Removes a follower.
    pub fn unfollow(&self, feed: &Arc<Feed>) {
        self.lock_feeds().retain(|other| !Arc::ptr_eq(other, feed));
    }

    fn lock_feeds(&self) -> MutexGuard<'_, Vec<Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
