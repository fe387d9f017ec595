//! The training of a model, watched across broken connections.

use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::connect::Connection;
use crate::pb::{
    self, training_service_client::TrainingServiceClient, watch_model_response::Event,
};
use crate::retry::{Attempts, Retry};
use crate::session::routed;

/// The events of a WatchModel. Dropping it ends the watch, and has no effect on the model.
#[derive(Debug)]
pub struct Watch {
    training: TrainingServiceClient<Connection>,
    request: pb::WatchModelRequest,
    retry: Retry,
    attempts: Attempts,
    /// The current stream; `None` between a broken one and the next.
    stream: Option<Stream>,
    is_over: bool,
}

#[derive(Debug)]
struct Stream {
    events: Streaming<pb::WatchModelResponse>,
    opened: Instant,
}

impl Watch {
    pub(crate) async fn start(
        training: TrainingServiceClient<Connection>,
        retry: Retry,
        request: pb::WatchModelRequest,
    ) -> Result<Self, Status> {
        let mut watch = Self {
            training,
            request,
            retry,
            attempts: Attempts::new(retry),
            stream: None,
            is_over: false,
        };
        while let Err(status) = watch.open().await {
            watch.recover(status).await?;
        }
        Ok(watch)
    }

    /// The next event, or `None` after the model was deleted. `Model` comes first, and again after a call other than
    /// TrainBatch has changed the model. Cancelling the future loses no event that was received.
    ///
    /// After a broken connection, the events continue with another `Model`, whose `step` says where. Steps that were
    /// computed in the meantime are not reported. A server that was killed goes back to its last committed step, so
    /// that the `step` is less than the last reported one; the steps after it are reported again when they are
    /// computed again. Deletion of the model in the meantime is the error NOT_FOUND.
    ///
    /// # Errors
    /// The server's refusal, or the last failure to reach it. The next call returns `None`.
    pub async fn next(&mut self) -> Result<Option<Event>, Status> {
        while !self.is_over {
            match self.receive().await {
                Ok(Some(pb::WatchModelResponse { event: Some(event) })) => {
                    self.note(&event);
                    return Ok(Some(event));
                }
                // A later server may send events that this version does not know.
                Ok(Some(_)) => {}
                Ok(None) => self.is_over = true,
                Err(status) => self.recover(status).await?,
            }
        }
        Ok(None)
    }

    /// The next message, or `None` at an end that the server has declared.
    async fn receive(&mut self) -> Result<Option<pb::WatchModelResponse>, Status> {
        if self.stream.is_none() {
            self.open().await?;
        }
        let Some(Stream { events, .. }) = &mut self.stream else {
            return Ok(Some(pb::WatchModelResponse { event: None }));
        };
        // A stream that ends without a status is an error of tonic's.
        events.message().await
    }

    async fn open(&mut self) -> Result<(), Status> {
        let reply = self
            .training
            .watch_model(routed(self.request.clone()))
            .await?;
        self.stream = Some(Stream {
            events: reply.into_inner(),
            opened: Instant::now(),
        });
        Ok(())
    }

    /// Waits until the request may be sent again.
    ///
    /// # Errors
    /// `status`, if it may not.
    async fn recover(&mut self, status: Status) -> Result<(), Status> {
        let broken = self.stream.take();
        // An idle watch may last for weeks: only failures in a row count.
        if broken.is_some_and(|stream| stream.opened.elapsed() > self.retry.longest_delay) {
            self.attempts.restart();
        }
        let waited = self.attempts.wait_after(status).await;
        self.is_over = waited.is_err();
        waited
    }

    fn note(&mut self, event: &Event) {
        match event {
            // Every stream begins with it, also that of a server that breaks each after it.
            Event::Model(_) | Event::HeldOut(_) => {}
            Event::Started(_) | Event::Progress(_) | Event::Completed(_) => self.attempts.restart(),
        }
    }
}
