//! How a run begins and ends, as its readers and the log are told.

use tonic::Status;

use super::compute::Timing;
use super::persistence::NotStored;
use super::status::{Stop, diverged, internal, stopped};
use crate::nn::WeightsDigest;
use crate::training::{Divergence, RunSummary};

/// How a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// The model's step before the first update.
    pub step: u64,
    /// Steps that this stream takes.
    pub planned_steps: u64,
    /// Steps that an earlier try has committed.
    pub resumed_steps: u64,
    /// Whether the stored outcome of an earlier request follows.
    pub replayed: bool,
    /// How many came before it.
    pub queue_position: usize,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct RunEnd {
    /// Why.
    pub reason: EndReason,
    /// Steps committed for the request.
    pub steps_done: u64,
    /// The model's step.
    pub step: u64,
    /// The last step's loss.
    pub final_loss: f64,
    /// The parameters' digest, where the end computed it.
    pub digest: Option<WeightsDigest>,
    /// The step that survives a restart; `None` where nothing is kept.
    pub durable_step: Option<u64>,
    /// Where the time went.
    pub timing: Timing,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug)]
pub enum EndReason {
    /// Every step is taken.
    Finished,
    /// The next weights would not be finite.
    Diverged(Divergence),
    /// Something ended it.
    Stopped(Stop),
    /// Its last commit could not be made durable, and was taken back.
    NotStored(NotStored),
    /// It panicked.
    Failed,
}

impl RunEnd {
    /// An end without a loss or a digest to tell.
    pub fn new(reason: EndReason, steps_done: u64, step: u64, timing: Timing) -> Self {
        Self {
            reason,
            steps_done,
            step,
            final_loss: f64::NAN,
            digest: None,
            durable_step: None,
            timing,
        }
    }

    /// The end of a run that took every step.
    pub fn finished(summary: &RunSummary, timing: Timing) -> Self {
        Self {
            final_loss: summary.final_loss,
            digest: Some(summary.digest),
            ..Self::new(
                EndReason::Finished,
                summary.steps_done,
                summary.step,
                timing,
            )
        }
    }

    /// The end of a run that would have lost its weights.
    pub fn diverged(divergence: Divergence, timing: Timing) -> Self {
        let reason = EndReason::Diverged(divergence);
        Self::new(reason, divergence.steps_done, divergence.step, timing)
    }

    /// A run that panicked.
    pub fn failed() -> Self {
        Self::new(EndReason::Failed, 0, 0, Timing::default())
    }

    /// What a TrainBatch stream ends with, unless it ends well.
    pub fn error(&self) -> Option<Status> {
        match self.reason {
            EndReason::Finished => None,
            EndReason::Diverged(divergence) => Some(diverged(&divergence)),
            EndReason::Stopped(stop) => Some(stopped(stop, Some((self.steps_done, self.step)))),
            EndReason::NotStored(why) => Some(why.status()),
            EndReason::Failed => Some(internal()),
        }
    }
}
