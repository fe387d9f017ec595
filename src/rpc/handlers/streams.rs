//! Events as streams of messages, for one run or for a watched model.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::Status;

use crate::host::runs::step_feed::Event;
use crate::host::runs::{RunEvents, Watch};
use crate::rpc::convert::training::{completed, held_out, progress, started};
use crate::rpc::pb::{self, train_batch_response, watch_model_response};

/// A stream of messages.
pub type Streamed<V> = Pin<Box<dyn Stream<Item = Result<V, Status>> + Send>>;

/// The events of one run until its end, which is an error unless every step was taken.
pub fn run_events(events: RunEvents) -> Streamed<pb::TrainBatchResponse> {
    use train_batch_response::Event as Message;
    let events = stream::unfold((events, false), |(events, over)| async move {
        if over {
            return None;
        }
        let (message, over) = match events.next().await {
            Ok(Event::Started(start)) => (Ok(Message::Started(started(&start))), false),
            Ok(Event::Steps(steps)) => (Ok(Message::Progress(progress(&steps))), false),
            Ok(Event::HeldOut(metrics, epoch)) => {
                (Ok(Message::HeldOut(held_out(&metrics, epoch))), false)
            }
            Ok(Event::Ended(end, dropped)) => match end.refusal() {
                None => (Ok(Message::Completed(completed(&end, dropped))), true),
                Some(refused) => (Err(refused), true),
            },
            Err(refused) => (Err(refused), true),
        };
        let message = message.map(|event| pb::TrainBatchResponse { event: Some(event) });
        Some((message.map_err(Status::from), (events, over)))
    });
    Box::pin(events)
}

/// The model's current state, then the events of every run.
pub fn model_events(model: pb::Model, watch: Watch) -> Streamed<pb::WatchModelResponse> {
    use watch_model_response::Event as Message;
    let first = Ok(Message::Model(model));
    let rest = stream::unfold(watch, |mut watch| async {
        let event = watch.next().await?.map(|event| match event {
            Event::Started(start) => Message::Started(started(&start)),
            Event::Steps(steps) => Message::Progress(progress(&steps)),
            Event::HeldOut(metrics, epoch) => Message::HeldOut(held_out(&metrics, epoch)),
            Event::Ended(end, dropped) => Message::Completed(completed(&end, dropped)),
        });
        Some((event, watch))
    });
    let events = stream::iter([first]).chain(rest);
    Box::pin(events.map(|event| {
        let event = event.map_err(Status::from)?;
        Ok(pb::WatchModelResponse { event: Some(event) })
    }))
}
