//! What every build knows of traces: a call that has ended, and where a collector would be.

use std::time::Duration;

use tonic::Code;

use super::super::trace::TraceParent;

/// Where a collector is, for all that is exported.
pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Where a collector of traces is; it takes precedence.
pub(super) const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// Why no traces can be exported: everything that is wrong with the variables.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be exported: {}", .0.join("; "))]
pub struct TracesError(pub(super) Vec<String>);

/// A call that has ended.
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody is told"))]
pub(in super::super) struct Ended<'call> {
    /// Its number in the log.
    pub id: u64,
    /// Its path; empty if the server has no such method.
    pub path: &'call str,
    /// What its caller says about the trace.
    pub parent: Option<TraceParent>,
    /// How it ended.
    pub code: Code,
    /// From its first byte to its end.
    pub took: Duration,
}
