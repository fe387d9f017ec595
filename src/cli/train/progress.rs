//! A progress bar on standard error, or one line per epoch if standard error is not a terminal.

use std::{
    io::{self, IsTerminal as _},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::report::Epoch;

/// The progress of the training.
pub(super) struct Progress {
    bar: ProgressBar,
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
            ProgressBar::hidden()
        } else {
            ProgressBar::new(steps)
        };
        let style =
            ProgressStyle::with_template("{prefix}  {bar:32.cyan/238}  {percent:>3} %  {msg}");
        // The template is fixed; an invalid one would cost only the colours.
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━━╌"));
        }
        Self {
            bar,
            epochs,
            lines: !quiet,
            started: Instant::now(),
            samples_per_step: samples_per_epoch as f64 * f64::from(epochs) / steps as f64,
        }
    }

    /// Steps have been committed, the last with `loss`.
    #[allow(clippy::cast_precision_loss, reason = "counts of steps")]
    pub(super) fn advance(&self, epoch: u32, steps: u64, loss: f64) {
        self.bar
            .set_prefix(format!("epoch {epoch}/{}", self.epochs));
        self.bar.inc(steps);
        let rate = self.bar.position() as f64 * self.samples_per_step
            / self.started.elapsed().as_secs_f64().max(1e-9);
        self.bar
            .set_message(format!("loss {loss:.4}  {rate:.0} samples/s"));
    }

    /// An epoch has been measured.
    pub(super) fn epoch(&self, number: u32, epoch: &Epoch) {
        let width = self.epochs.to_string().len();
        let line = format!(
            "epoch {number:>width$}  loss {:.4}  held-out {}",
            epoch.loss(),
            epoch.held_out
        );
        if !self.bar.is_hidden() {
            self.bar.println(line);
        } else if self.lines {
            eprintln!("{line}");
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
