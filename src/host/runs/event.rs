//! How a run begins and ends, as its readers and the log are told.

use crate::host::compute::Timing;
use crate::host::refused::{NotStored, Refused, Stop};
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
    /// The last step's loss, where a step was taken.
    pub final_loss: Option<f64>,
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
            final_loss: None,
            digest: None,
            durable_step: None,
            timing,
        }
    }

    /// The end of a run that took every step.
    pub fn finished(summary: &RunSummary, timing: Timing) -> Self {
        Self {
            final_loss: Some(summary.final_loss),
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

    /// The end of a run that panicked, with the model at `step` by then.
    pub fn failed(start: &RunStart, step: u64) -> Self {
        let steps_done = start.resumed_steps + step.saturating_sub(start.step);
        Self::new(EndReason::Failed, steps_done, step, Timing::default())
    }

    /// What a TrainBatch stream ends with, unless it ends well.
    pub fn refusal(&self) -> Option<Refused> {
        match self.reason {
            EndReason::Finished => None,
            EndReason::Diverged(divergence) => Some(Refused::Diverged(divergence)),
            EndReason::Stopped(stop) => Some(Refused::RunStopped {
                stop,
                steps_done: self.steps_done,
                step: self.step,
            }),
            EndReason::NotStored(why) => Some(why.into()),
            EndReason::Failed => Some(Refused::Bug),
        }
    }
}
