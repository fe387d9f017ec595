//! A run of training, across broken connections.

use tonic::{Status, Streaming};

use crate::connect::Connection;
use crate::pb::{
    self, train_batch_response::Event, training_service_client::TrainingServiceClient,
};
use crate::retry::{Attempts, Retry};
use crate::session::routed;

/// The events of a TrainBatch. Dropping it cancels the run after its current step, unless the request has
/// `ON_DISCONNECT_CONTINUE`.
#[derive(Debug)]
pub struct Run {
    training: TrainingServiceClient<Connection>,
    request: pb::TrainBatchRequest,
    /// The stream at hand; `None` between a broken one and the next.
    events: Option<Streaming<pb::TrainBatchResponse>>,
    attempts: Attempts,
    /// Steps that earlier tries have committed.
    committed: i64,
    is_over: bool,
}

impl Run {
    pub(crate) async fn start(
        training: TrainingServiceClient<Connection>,
        retry: Retry,
        request: pb::TrainBatchRequest,
    ) -> Result<Self, Status> {
        let mut run = Self {
            attempts: Attempts::new(retry),
            training,
            request,
            events: None,
            committed: 0,
            is_over: false,
        };
        while let Err(status) = run.open().await {
            run.recover(status).await?;
        }
        Ok(run)
    }

    /// The next event, or `None` after `Completed`. Cancelling the future loses no event that was received.
    ///
    /// After a broken connection, a request with a `request_id` is sent again, and the events continue with another
    /// `Started`, whose `resumed_steps` are committed. Steps that were reported before but not committed are computed
    /// and reported again, with the same numbers.
    ///
    /// # Errors
    /// The server's refusal, or the last failure to reach it. The next call returns `None`.
    pub async fn next(&mut self) -> Result<Option<Event>, Status> {
        while !self.is_over {
            let received = match &mut self.events {
                Some(events) => events.message().await,
                None => self.open().await.map(|()| Some(NOTHING)),
            };
            let status = match received {
                Ok(Some(pb::TrainBatchResponse { event: Some(event) })) => {
                    self.note(&event);
                    return Ok(Some(event));
                }
                // A later server may send events that this version does not know.
                Ok(Some(_)) => continue,
                Ok(None) => Status::unknown("the stream of TrainBatch ended before Completed"),
                Err(status) => status,
            };
            self.recover(status).await?;
        }
        Ok(None)
    }

    /// Reads the events up to the last one.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn completed(mut self) -> Result<pb::Completed, Status> {
        while let Some(event) = self.next().await? {
            if let Event::Completed(completed) = event {
                return Ok(completed);
            }
        }
        Err(Status::unknown("the run is over"))
    }

    async fn open(&mut self) -> Result<(), Status> {
        let reply = self
            .training
            .train_batch(routed(self.request.clone()))
            .await?;
        self.events = Some(reply.into_inner());
        Ok(())
    }

    /// Waits until the request may be sent again.
    ///
    /// # Errors
    /// `status`, if it may not.
    async fn recover(&mut self, status: Status) -> Result<(), Status> {
        self.events = None;
        // If this future is cancelled, a run without a request id must not start a second time.
        self.is_over = self.request.request_id.is_empty();
        if self.is_over {
            return Err(status);
        }
        let waited = self.attempts.wait_after(status).await;
        self.is_over = waited.is_err();
        waited
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Started(started) if started.resumed_steps > self.committed => {
                self.committed = started.resumed_steps;
                self.attempts.restart();
            }
            Event::Completed(_) => self.is_over = true,
            Event::Started(_) | Event::Progress(_) | Event::HeldOut(_) => {}
        }
    }
}

/// A message without an event.
const NOTHING: pb::TrainBatchResponse = pb::TrainBatchResponse { event: None };
