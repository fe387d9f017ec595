//! The epochs of a training, as the events of its run report them.

use std::collections::BTreeMap;
use std::time::Instant;

use backpropd_client::pb::{self, train_batch_response::Event};

use super::client::{self, Client};
use super::dataset::{Samples, Truth};
use super::progress::Progress;
use super::report::{Epoch, Quality};
use crate::cli::Failure;

/// Follows the runs of a training.
pub(super) struct Epochs<'a> {
    samples: &'a Samples,
    /// As it was before the run.
    model: &'a pb::Model,
    progress: &'a Progress,
    /// Of each epoch without figures yet, the loss of each step. After a broken connection, steps that were not committed are
    /// reported again.
    losses: BTreeMap<u32, BTreeMap<i64, f64>>,
    evaluated: BTreeMap<u32, Epoch>,
    /// Number of epochs of the runs before the one at hand.
    before: u32,
    /// When the latest epoch ended.
    begun: Instant,
    /// The time in which the server computed.
    pub(super) computed_seconds: f64,
}

impl<'a> Epochs<'a> {
    pub(super) fn new(samples: &'a Samples, model: &'a pb::Model, progress: &'a Progress) -> Self {
        Self {
            samples,
            model,
            progress,
            losses: BTreeMap::new(),
            evaluated: BTreeMap::new(),
            before: 0,
            begun: Instant::now(),
            computed_seconds: 0.0,
        }
    }

    /// The epochs whose figures have come.
    pub(super) fn into_list(self) -> Vec<Epoch> {
        self.evaluated.into_values().collect()
    }

    /// Trains to the end of the last run, and returns it.
    pub(super) async fn follow(
        &mut self,
        client: &Client,
        runs: impl Iterator<Item = pb::TrainBatchRequest>,
    ) -> Result<pb::Completed, Failure> {
        let mut last = None;
        for request in runs {
            let epochs = request.epochs;
            let completed = self.follow_run(client, request).await?;
            self.before += number(epochs);
            self.computed_seconds += computed_seconds(&completed);
            last = Some(completed);
        }
        last.ok_or_else(|| Failure::usage("--epochs: at least 1 is needed"))
    }

    async fn follow_run(
        &mut self,
        client: &Client,
        request: pb::TrainBatchRequest,
    ) -> Result<pb::Completed, Failure> {
        let mut run = client.train(request).await?;
        let mut completed = None;
        while let Some(event) = run.next().await? {
            match event {
                Event::Progress(batch) => self.note_steps(&batch.steps),
                Event::HeldOut(metrics) => self.note_figures(&metrics),
                Event::Completed(event) => completed = Some(event),
                Event::Started(_) => {}
            }
        }
        completed.ok_or_else(|| client::incomplete("TrainBatch", "last event"))
    }

    fn note_steps(&mut self, steps: &[pb::StepMetrics]) {
        for step in steps {
            let epoch = self.losses.entry(self.before + number(step.epoch));
            let epoch = epoch.or_default();
            epoch.insert(step.step, step.loss);
        }
        if let Some(step) = steps.last() {
            let epoch = self.before + number(step.epoch);
            self.progress.show(epoch, step, self.model.step);
        }
    }

    fn note_figures(&mut self, metrics: &pb::HeldOutMetrics) {
        let number = self.before + number(metrics.epoch);
        let losses = self.losses.remove(&number).unwrap_or_default();
        let now = Instant::now();
        let seconds = now.duration_since(self.begun).as_secs_f64();
        self.begun = now;
        if self.evaluated.contains_key(&number) {
            // A restarted server has repeated a part of the epoch.
            return;
        }
        let epoch = Epoch {
            number,
            losses: losses.into_values().collect(),
            held_out: self.quality(metrics),
            seconds,
        };
        self.progress.epoch(&epoch);
        self.evaluated.insert(number, epoch);
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a count of samples"
    )]
    fn quality(&self, metrics: &pb::HeldOutMetrics) -> Quality {
        let of = self.samples.parts.held_out.len();
        if let Some(accuracy) = metrics.accuracy {
            let right = (accuracy * of as f64).round() as usize;
            return Quality::Classes { right, of };
        }
        let r2 = metrics.determination.unwrap_or(f64::NAN);
        let spec = self.model.spec.clone().unwrap_or_default();
        // Of one output, the loss is a multiple of the mean squared error.
        let factor = match spec.loss() {
            pb::Loss::HalfSquaredError => 2.0,
            pb::Loss::MeanSquaredError
            | pb::Loss::CrossEntropy
            | pb::Loss::BinaryCrossEntropy
            | pb::Loss::Unspecified => 1.0,
        };
        let samples = match spec.reduction() {
            pb::Reduction::Sum => of as f64,
            pb::Reduction::Mean | pb::Reduction::Unspecified => 1.0,
        };
        match (&self.samples.held_out, &self.samples.target_scale[..]) {
            (Truth::Targets(_), [scale]) => Quality::Numbers {
                rmse: (metrics.loss * factor / samples).sqrt() * scale,
                r2,
            },
            (Truth::Targets(_) | Truth::Labels { .. }, _) => Quality::Outputs {
                loss: metrics.loss,
                r2,
            },
        }
    }
}

fn computed_seconds(completed: &pb::Completed) -> f64 {
    let computed = completed
        .timings
        .as_ref()
        .and_then(|timings| timings.computed.as_ref());
    #[allow(clippy::cast_precision_loss, reason = "seconds of a run")]
    computed.map_or(0.0, |computed| {
        computed.seconds as f64 + f64::from(computed.nanos) * 1e-9
    })
}

/// A number of epochs, or that of one.
fn number(epoch: i32) -> u32 {
    u32::try_from(epoch).unwrap_or(0)
}
