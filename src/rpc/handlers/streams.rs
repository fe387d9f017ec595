//! Streams of messages: the events of one run or of a watched model, and what a client sends in pieces.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Status, Streaming};

use crate::host::Host;
use crate::host::models::lifecycle::ModelState;
use crate::host::refused::{Refused, Stop};
use crate::host::runs::step_feed::Event;
use crate::host::runs::{RunEvents, Watch};
use crate::rpc::convert::model::write_model;
use crate::rpc::convert::training::{completed, held_out, progress, started};
use crate::rpc::pb::{self, train_batch_response, watch_model_response};
use crate::status::{Reason, Refusal};

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
            Ok(Event::HeldOut(metrics)) => (Ok(Message::HeldOut(held_out(&metrics))), false),
            // Other calls that change the model wait for the run.
            Ok(Event::Changed) => (Err(Refused::Bug), true),
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
pub fn model_events(
    state: &ModelState,
    watch: Watch,
    host: &Arc<Host>,
) -> Streamed<pb::WatchModelResponse> {
    use watch_model_response::Event as Message;
    let first = Ok(Message::Model(write_model(state, &host.grading.veil)));
    let rest = stream::unfold((watch, Arc::clone(host)), |(mut watch, host)| async {
        let event = match watch.next().await? {
            Ok(Event::Started(start)) => Ok(Message::Started(started(&start))),
            Ok(Event::Steps(steps)) => Ok(Message::Progress(progress(&steps))),
            Ok(Event::HeldOut(metrics)) => Ok(Message::HeldOut(held_out(&metrics))),
            Ok(Event::Ended(end, dropped)) => Ok(Message::Completed(completed(&end, dropped))),
            Ok(Event::Changed) => {
                let state = watch.model().await;
                state.map(|state| Message::Model(write_model(&state, &host.grading.veil)))
            }
            Err(refused) => Err(refused),
        };
        Some((event, (watch, host)))
    });
    let events = stream::iter([first]).chain(rest);
    Box::pin(events.map(|event| {
        let event = event.map_err(Status::from)?;
        Ok(pb::WatchModelResponse { event: Some(event) })
    }))
}

/// The next message of a client's stream, unless the client stalls. `missing` is what did
/// not arrive, `way_out` what to do.
pub async fn next_message<M>(
    messages: &mut Streaming<M>,
    host: &Host,
    [missing, way_out]: [&str; 2],
) -> Result<Option<M>, Status> {
    let patience = Duration::from_secs(host.config.stall_seconds);
    tokio::select! {
        biased;
        () = host.shutdown.cancelled() => Err(Refused::Stopped(Stop::Shutdown).into()),
        message = tokio::time::timeout(patience, messages.message()) => message.unwrap_or_else(|_| {
            let seconds = patience.as_secs();
            let message = format!("{missing} arrived for {seconds} s (stall_seconds): {way_out}");
            Err(Refusal::new(Reason::Deadline, message).status())
        }),
    }
}
