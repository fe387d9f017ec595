//! A progress bar on standard error, or one line per epoch if standard error is not a terminal.

use std::{
    io::{self, IsTerminal as _},
    time::Instant,
};

use backpropd_client::pb;

use super::report::Epoch;
use crate::cli::progress_bar::Bar;

/// The progress of the training.
pub(super) struct Progress {
    bar: Bar,
    epochs: u32,
    /// Whether standard error takes one line for each epoch.
    lines: bool,
    started: Instant,
    samples_per_step: f64,
}

impl Progress {
    /// For `steps` in all; `quiet` shows nothing.
    #[allow(clippy::cast_precision_loss, reason = "counts of samples and steps")]
    pub(super) fn new(epochs: u32, steps: u64, samples_per_epoch: usize, quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = if quiet || !terminal {
            Bar::hidden()
        } else {
            let template = "{prefix}  {wide_bar:.cyan/238}  {percent:>3} %  {msg}  {eta} left";
            Bar::new(steps, template, "━━╌")
        };
        Self {
            bar,
            epochs,
            lines: !quiet,
            started: Instant::now(),
            samples_per_step: samples_per_epoch as f64 * f64::from(epochs) / steps as f64,
        }
    }

    /// Shows that the model, which began at step `from`, is at `step`. That may be less than before: a restarted server repeats steps that were not
    /// committed.
    #[allow(clippy::cast_precision_loss, reason = "counts of steps")]
    pub(super) fn show(&self, epoch: u32, step: &pb::StepMetrics, from: i64) {
        let steps = step.step.saturating_sub(from).unsigned_abs();
        let rate =
            steps as f64 * self.samples_per_step / self.started.elapsed().as_secs_f64().max(1e-9);
        let before = format!("epoch {epoch}/{}", self.epochs);
        let after = format!("loss {:.4}  {rate:.0} samples/s", step.loss);
        self.bar.set_texts(before, after);
        self.bar.set_position(steps);
    }

    /// An epoch has been measured.
    pub(super) fn epoch(&self, epoch: &Epoch) {
        let width = self.epochs.to_string().len();
        let line = format!(
            "epoch {:>width$}  loss {:.4}  held-out {}",
            epoch.number,
            epoch.loss(),
            epoch.held_out
        );
        if !self.bar.is_hidden() {
            self.bar.print(line);
        } else if self.lines {
            eprintln!("{line}");
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.clear();
    }
}
