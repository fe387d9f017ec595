//! WatchModel: follows a model's runs until it is deleted.

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::step_feed::{Event, Feed};
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::limits::stream_slots::StreamSlot;
use crate::host::models::handle::ModelEntry;
use crate::host::models::lifecycle::ModelState;
use crate::host::refused::{Refused, Stop};
use crate::training::ModelName;

/// A watcher of a model. Dropping it frees its slot.
pub struct Watch {
    host: Arc<Host>,
    caller: Arc<Caller>,
    entry: Arc<ModelEntry>,
    feed: Arc<Feed>,
    over: bool,
    _slot: StreamSlot,
}

impl Host {
    /// Follows a model: returns its current state, then every `every`-th step of its runs.
    ///
    /// # Errors
    /// No such model; too many watchers, or no memory for another; the deadline.
    pub async fn watch(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        name: &ModelName,
        every: u64,
    ) -> Result<(ModelState, Watch), Refused> {
        let entry = self.open(caller, name).await?;
        let slot = self.streams.take(caller.party())?;
        let most = self.config.max_buffered_metrics;
        let memory = self.reserve(caller, Feed::bytes(u64::MAX, most))?;
        let feed = Feed::new(every, most, memory);
        entry.follow(Arc::clone(&feed), self.config.max_watchers_per_model)?;
        let watch = Watch {
            host: Arc::clone(self),
            caller: Arc::clone(caller),
            entry: Arc::clone(&entry),
            feed,
            over: false,
            _slot: slot,
        };
        Ok((self.describe_one(caller, entry).await?, watch))
    }
}

impl Watch {
    /// The model as it is now.
    ///
    /// # Errors
    /// It was deleted.
    pub async fn model(&self) -> Result<ModelState, Refused> {
        let entry = Arc::clone(&self.entry);
        self.host.describe_one(&self.caller, entry).await
    }

    /// Waits for the next event; `None` after the last event of a deleted model, and after an error.
    pub async fn next(&mut self) -> Option<Result<Event, Refused>> {
        if self.over {
            return None;
        }
        let event = tokio::select! {
            biased;
            event = self.feed.next() => event.map_err(Refused::from),
            () = self.entry.deleted.cancelled() => {
                // A run stopped by the deletion still has to report its end; no further run begins.
                tokio::select! {
                    biased;
                    event = self.feed.next() => event.map_err(Refused::from),
                    () = self.entry.turns.idle() => self.feed.next().now_or_never()?.map_err(Refused::from),
                }
            }
            () = self.caller.deadline.passed() => Err(Refused::Stopped(Stop::Deadline)),
            () = self.host.shutdown.cancelled() => Err(Refused::Stopped(Stop::Shutdown)),
        };
        self.over = event.is_err();
        Some(event)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.entry.unfollow(&self.feed);
    }
}
