//! The beginning and the end of a run, as reported to readers and the log.

use crate::host::compute::Timing;
use crate::host::refused::{NotStored, Refused, Stop};
use crate::nn::WeightsDigest;
use crate::training::{Divergence, RunSummary};

/// How a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// The model's step before the first update.
    pub step: u64,
    /// Steps planned for this stream.
    pub planned_steps: u64,
    /// Steps committed by earlier attempts.
    pub resumed_steps: u64,
    /// Whether this replays the stored outcome of an earlier request.
    pub replayed: bool,
    /// Number of writers that were ahead in the queue.
    pub queue_position: usize,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct RunEnd {
    /// The reason.
    pub reason: EndReason,
    /// Steps committed for the request.
    pub steps_done: u64,
    /// The model's step.
    pub step: u64,
    /// The last step's loss, if any step was taken.
    pub final_loss: Option<f64>,
    /// The parameters' digest, if it was computed at the end.
    pub digest: Option<WeightsDigest>,
    /// The step of the smallest held-out loss, if there were evaluations.
    pub best_step: Option<u64>,
    /// Whether the parameters are not those that the steps led to, so that replaying these does not restore them.
    pub is_returned: bool,
    /// The step that survives a restart; `None` if nothing is persisted.
    pub durable_step: Option<u64>,
    /// Where the time went.
    pub timing: Timing,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug)]
pub enum EndReason {
    /// All steps are done.
    Finished,
    /// The held-out loss did not decrease any more.
    OutOfPatience,
    /// The next step would make the weights non-finite.
    Diverged(Divergence),
    /// The run was stopped.
    Stopped(Stop),
    /// The last commit could not be made durable and was rolled back.
    NotStored(NotStored),
    /// The run panicked.
    Failed,
}

impl RunEnd {
    /// An end without a loss or a digest.
    pub fn new(reason: EndReason, steps_done: u64, step: u64, timing: Timing) -> Self {
        Self {
            reason,
            steps_done,
            step,
            final_loss: None,
            digest: None,
            best_step: None,
            is_returned: false,
            durable_step: None,
            timing,
        }
    }

    /// The end of a run that completed all its steps.
    pub fn finished(summary: &RunSummary, timing: Timing) -> Self {
        let reason = if summary.is_early {
            EndReason::OutOfPatience
        } else {
            EndReason::Finished
        };
        Self {
            final_loss: Some(summary.final_loss),
            digest: Some(summary.digest),
            best_step: summary.best_step,
            ..Self::new(reason, summary.steps_done, summary.step, timing)
        }
    }

    /// The end of a run that diverged.
    pub fn diverged(divergence: Divergence, timing: Timing) -> Self {
        let reason = EndReason::Diverged(divergence);
        Self::new(reason, divergence.steps_done, divergence.step, timing)
    }

    /// The end of a run that panicked, leaving the model at `step`.
    pub fn failed(start: &RunStart, step: u64) -> Self {
        let steps_done = start.resumed_steps + step.saturating_sub(start.step);
        Self::new(EndReason::Failed, steps_done, step, Timing::default())
    }

    /// The status that ends the TrainBatch stream, unless the run completed.
    pub fn refusal(&self) -> Option<Refused> {
        match self.reason {
            EndReason::Finished | EndReason::OutOfPatience => None,
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
