//! Events as streams: what a TrainBatch caller reads, and what a watcher does.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio_util::sync::DropGuard;
use tonic::{Code, Status};

use super::Server;
use super::convert::training::{completed, progress, started};
use super::deadline::Deadline;
use super::entry::ModelEntry;
use super::feed::{Event, Feed, TooSlow};
use super::pb::{self, train_batch_response, watch_model_response};
use super::places::Place;
use super::status::{Refusal, Stop, stopped};

/// A stream of messages.
pub type Streamed<V> = Pin<Box<dyn Stream<Item = Result<V, Status>> + Send>>;

/// The events of one run until its end. Dropped before, it drops `held`.
pub fn run_events(
    feed: Arc<Feed>,
    held: (Option<DropGuard>, Arc<Place>),
) -> Streamed<pb::TrainBatchResponse> {
    let events = stream::unfold((feed, held, false), |(feed, held, over)| async move {
        if over {
            return None;
        }
        let message = |event| Ok(pb::TrainBatchResponse { event: Some(event) });
        let (item, over) = match feed.next().await {
            Ok(Event::Started(start)) => (
                message(train_batch_response::Event::Started(started(&start))),
                false,
            ),
            Ok(Event::Steps(steps)) => (
                message(train_batch_response::Event::Progress(progress(&steps))),
                false,
            ),
            Ok(Event::Ended(end, dropped)) => match end.error() {
                None => (
                    message(train_batch_response::Event::Completed(completed(
                        &end, dropped,
                    ))),
                    true,
                ),
                Some(error) => (Err(error), true),
            },
            Err(TooSlow) => (Err(too_slow()), true),
        };
        Some((item, (feed, held, over)))
    });
    Box::pin(events)
}

/// One who follows a model.
pub struct Watch {
    server: Arc<Server>,
    entry: Arc<ModelEntry>,
    feed: Arc<Feed>,
    deadline: Deadline,
    over: bool,
    _place: Place,
}

impl Watch {
    /// Follows `entry`; the place among its followers is free again when the watch is dropped.
    ///
    /// # Errors
    /// The model has as many followers as it may, or there is no memory for another.
    pub fn follow(
        place: Place,
        server: &Arc<Server>,
        entry: &Arc<ModelEntry>,
        every: u64,
        deadline: Deadline,
    ) -> Result<Self, Status> {
        let most = server.config.max_buffered_metrics;
        let memory = server.reserve(Feed::bytes(u64::MAX, most))?;
        let feed = Feed::new(every, most, memory);
        entry.follow(Arc::clone(&feed), server.config.max_watchers_per_model)?;
        Ok(Self {
            server: Arc::clone(server),
            entry: Arc::clone(entry),
            feed,
            deadline,
            over: false,
            _place: place,
        })
    }

    /// The model as it is, then every run's events.
    pub fn into_stream(self, model: Option<pb::Model>) -> Streamed<pb::WatchModelResponse> {
        let first = model.map(|model| Ok(watched(watch_model_response::Event::Model(model))));
        let rest = stream::unfold(self, |mut watch| async {
            let next = watch.next().await?;
            Some((next, watch))
        });
        Box::pin(stream::iter(first).chain(rest))
    }

    async fn next(&mut self) -> Option<Result<pb::WatchModelResponse, Status>> {
        if self.over {
            return None;
        }
        let event = tokio::select! {
            biased;
            event = self.feed.next() => event,
            () = self.entry.deleted.cancelled() => {
                // A run that the deletion ends has its end still to tell; nobody begins another.
                tokio::select! {
                    biased;
                    event = self.feed.next() => event,
                    () = self.entry.idle() => match self.feed.next().now_or_never() {
                        Some(event) => event,
                        None => return None,
                    },
                }
            }
            () = self.deadline.passed() => {
                self.over = true;
                return Some(Err(stopped(Stop::Deadline, None)));
            }
            () = self.server.shutdown.cancelled() => {
                self.over = true;
                return Some(Err(stopped(Stop::Shutdown, None)));
            }
        };
        Some(match event {
            Ok(Event::Started(start)) => Ok(watched(watch_model_response::Event::Started(
                started(&start),
            ))),
            Ok(Event::Steps(steps)) => Ok(watched(watch_model_response::Event::Progress(
                progress(&steps),
            ))),
            Ok(Event::Ended(end, dropped)) => Ok(watched(watch_model_response::Event::Completed(
                completed(&end, dropped),
            ))),
            Err(TooSlow) => {
                self.over = true;
                Err(too_slow())
            }
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.entry.unfollow(&self.feed);
    }
}

fn watched(event: watch_model_response::Event) -> pb::WatchModelResponse {
    pb::WatchModelResponse { event: Some(event) }
}

fn too_slow() -> Status {
    let message = "the stream was read too slowly and too much has gathered: read faster, or set metrics_every";
    Refusal::new(Code::ResourceExhausted, "SLOW_READER", message).status()
}
