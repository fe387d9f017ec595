//! A build without the feature `otlp`.

use std::time::Duration;

use super::ended::{ENDPOINT, Ended, TRACES_ENDPOINT, TracesError};

/// Traces that nobody is told.
#[derive(Clone, Debug, Default)]
pub struct Traces(());

impl Traces {
    /// None, with a warning if an operator expects some.
    ///
    /// # Errors
    /// None in this build.
    pub fn of_environment() -> Result<Self, TracesError> {
        for variable in [TRACES_ENDPOINT, ENDPOINT] {
            if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
                tracing::warn!(
                    "{variable} has no effect: this program was built without the feature `otlp`"
                );
                break;
            }
        }
        Ok(Self::default())
    }

    /// Nothing.
    #[inline]
    pub(in super::super) fn record(&self, _: &Ended<'_>) {}

    /// Nothing.
    pub async fn flush(&self, _: Duration) {}
}
