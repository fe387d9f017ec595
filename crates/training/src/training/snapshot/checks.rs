//! Checks on a snapshot file beyond its checksum, which detects damage but does not prove who wrote the file.

use std::collections::BTreeSet;

use super::{Metadata, SnapshotError, malformed};
use crate::training::model::{LARGEST_STEP, Outcome};
use crate::training::names::ModelName;
use crate::training::request_log::LONGEST_REQUEST_ID;
use backpropd_engine::nn::ArchitectureLimits;

/// The largest step to read, which is the largest that the wire can carry. Training stops at [`LARGEST_STEP`], but
/// earlier versions went past it: such a model loads, and refuses to train.
const LARGEST_STEP_READ: u64 = i64::MAX.cast_unsigned();

/// Header bytes reserved for everything but layers and requests.
const HEADER_BASE: usize = 64 << 10;
/// Header bytes for a layer: its spec, and six tensors with their names, shapes and offsets.
const HEADER_PER_LAYER: usize = 1 << 10;
/// Header bytes for a remembered request, whose id is escaped twice.
const HEADER_PER_REQUEST: usize = 2 << 10;

/// What a file may hold, depending on its source.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The largest network.
    pub(super) limits: ArchitectureLimits,
    /// Limit on the requests that a model from this file remembers.
    pub(super) remembered_requests: usize,
    /// Whether the file comes from a client, so that everything in it is checked as in a request.
    pub(super) is_sent: bool,
}

impl Rules {
    /// For a file that this server wrote, under any limits.
    pub fn own(remembered_requests: usize) -> Self {
        Self {
            limits: ArchitectureLimits::LARGEST,
            remembered_requests,
            is_sent: false,
        }
    }

    /// For a file from a client: refuses state that no request could have produced.
    pub fn sent(limits: ArchitectureLimits, remembered_requests: usize) -> Self {
        Self {
            limits,
            remembered_requests,
            is_sent: true,
        }
    }

    /// The longest header, in bytes.
    pub fn largest_header(&self) -> usize {
        if self.is_sent {
            HEADER_BASE
                + HEADER_PER_LAYER * self.limits.layers
                + HEADER_PER_REQUEST * self.remembered_requests
        } else {
            usize::MAX
        }
    }

    /// Refuses a step, updates or requests that contradict each other.
    pub(super) fn check(&self, metadata: &Metadata) -> Result<(), SnapshotError> {
        let done = |outcome: &Outcome| match outcome {
            Outcome::Interrupted { steps_done } => *steps_done,
            Outcome::Finished(summary) => summary.step.max(summary.steps_done),
            Outcome::Diverged(divergence) => divergence.step.max(divergence.steps_done),
            Outcome::ParametersSet { step, .. } => *step,
            Outcome::GradientApplied(taken) => taken.step,
            Outcome::SpecUpdated { step } => *step,
        };
        let requests = &metadata.requests;
        let latest = requests.iter().map(|(_, outcome)| done(outcome)).max();
        let (step, updates) = (metadata.step, metadata.updates);
        let largest = if self.is_sent {
            LARGEST_STEP
        } else {
            LARGEST_STEP_READ
        };
        if step > largest {
            return Err(malformed(format!(
                "step {step} is above {largest}, the largest step"
            )));
        }
        if updates > step {
            return Err(malformed(format!("{updates} updates by step {step}")));
        }
        if let Some(latest) = latest.filter(|latest| *latest > step) {
            let message = format!("a request of step {latest} by step {step}");
            return Err(malformed(message));
        }
        if self.is_sent {
            self.check_names(metadata)?;
        }
        Ok(())
    }

    fn check_names(&self, metadata: &Metadata) -> Result<(), SnapshotError> {
        let (about, requests) = (&metadata.about, &metadata.requests);
        if ModelName::parse(&about.name).is_none() {
            return Err(malformed("the name is not a model's"));
        }
        let tolerance = about.compare.map(|terms| terms.relative_tolerance);
        if tolerance.is_some_and(|tolerance| !(tolerance > 0.0 && tolerance <= 0.5)) {
            return Err(malformed(
                "a relative tolerance that is not above 0 and at most 0.5",
            ));
        }
        let count = requests.len();
        if count > self.remembered_requests {
            let most = self.remembered_requests;
            return Err(malformed(format!(
                "{count} requests are remembered, {most} are allowed (request_ids_per_model)"
            )));
        }
        let ids = requests.iter().map(|(request, _)| &request.id);
        let made_by = about.made_by.iter().map(|request| &request.id);
        for id in ids.clone().chain(made_by) {
            if id.is_empty() || id.len() > LONGEST_REQUEST_ID {
                let length = id.len();
                return Err(malformed(format!(
                    "a request id of {length} bytes, 1 to {LONGEST_REQUEST_ID} are allowed"
                )));
            }
        }
        if ids.collect::<BTreeSet<_>>().len() < count {
            return Err(malformed("two remembered requests have the same id"));
        }
        Ok(())
    }
}
