//! The reason to stop a run.

use std::sync::OnceLock;

use crate::host::refused::Stop;

/// Set by the first event that stops a run; checked after every step.
#[derive(Debug, Default)]
pub struct StopFlag(OnceLock<Stop>);

impl StopFlag {
    /// Stops the run. Only the first reason takes effect.
    pub fn set(&self, stop: Stop) {
        // Later reasons are ignored.
        let _ = self.0.set(stop);
    }

    /// The reason to stop, if there is one.
    pub fn get(&self) -> Option<Stop> {
        self.0.get().copied()
    }
}
