//! The first reason to end a run.

use std::sync::OnceLock;

use crate::host::refused::Stop;

/// Set once by the first thing that ends a run; looked at after every step.
#[derive(Debug, Default)]
pub struct StopFlag(OnceLock<Stop>);

impl StopFlag {
    /// Ends the run; the first reason counts.
    pub fn set(&self, stop: Stop) {
        // Later reasons change nothing.
        let _ = self.0.set(stop);
    }

    /// What ends the run, if something does.
    pub fn get(&self) -> Option<Stop> {
        self.0.get().copied()
    }
}
