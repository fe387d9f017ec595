//! Traces: what OpenTelemetry learns of each call, one span when it ends. With the feature `otlp` spans go to a collector,
//! as the variables `OTEL_*` say; without it, nothing is built for them.
//!
//! A span names the method, its code and the number of the call in the log; never a session, a model, a person or an
//! address.

#[cfg(not(feature = "otlp"))]
mod absent;
mod ended;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod variables;

#[cfg(not(feature = "otlp"))]
pub use self::absent::Traces;
pub(super) use self::ended::Ended;
pub use self::ended::TracesError;
#[cfg(feature = "otlp")]
pub use self::otlp::Traces;
