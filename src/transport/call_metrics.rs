//! How calls are counted: by method and status code, and by the reason of a refusal. The method of a call is looked up
//! once; from there on its numbers are found by index.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tonic::{Code, Status};

use crate::host::metrics::labelled::Labelled;
use crate::host::metrics::seconds::Seconds;
use crate::status::{Reason, reason_name};
use crate::transport::methods::{Kind, is_read};

/// Upper bounds of the durations of calls, in seconds: small gradients take some of the first, runs the last.
const DURATIONS: &[f64] = &[
    0.0001, 0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 300.0,
];

/// The label of a method that the server does not have.
pub(super) const OTHER_METHOD: &str = "_OTHER";

/// The label of a refusal whose reason is not in the registry.
const OTHER_REASON: &str = "OTHER";

/// The codes as OpenTelemetry writes them, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A code as OpenTelemetry writes it.
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
pub(super) fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}

/// A method, what the transport knows about it, and its numbers.
#[derive(Debug)]
pub struct Method {
    /// Its path, such as `/backprop.v1.TrainingService/Gradients`; empty for the methods that the server does not have.
    pub path: Box<str>,
    /// How its messages travel; calls of an unknown method are looked at one by one.
    pub kind: Kind,
    /// Whether it only reads.
    pub is_read: bool,
    durations: [Seconds; CODES.len()],
}

/// The numbers of all methods.
#[derive(Debug)]
pub struct CallMetrics {
    /// Sorted by path, so that the one for all other methods is the first.
    methods: Box<[Method]>,
    refused: Labelled<Counter>,
    /// Open connections.
    pub connections: Gauge,
}

/// The index of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodIndex(usize);

impl MethodIndex {
    const OTHER: Self = Self(0);

    /// Whether the server has no such method.
    pub fn is_other(self) -> bool {
        self == Self::OTHER
    }
}

impl CallMetrics {
    /// Nothing counted yet, for methods with these paths.
    pub fn new(paths: impl IntoIterator<Item = String>, connections: Gauge) -> Arc<Self> {
        let mut paths: Vec<_> = paths.into_iter().chain([String::new()]).collect();
        paths.sort();
        paths.dedup();
        let method = |path: String| Method {
            kind: Kind::of(&path),
            is_read: is_read(&path),
            path: path.into_boxed_str(),
            durations: std::array::from_fn(|_| Seconds::new(DURATIONS)),
        };
        let mut reasons: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        reasons.push(OTHER_REASON);
        // Two reasons may share a name and differ in their code.
        reasons.sort_unstable();
        reasons.dedup();
        Arc::new(Self {
            methods: paths.into_iter().map(method).collect(),
            refused: Labelled::new("reason", &reasons),
            connections,
        })
    }

    /// The index of the method with this path.
    pub fn find(&self, path: &str) -> MethodIndex {
        let found = self
            .methods
            .binary_search_by(|method| (*method.path).cmp(path));
        found.map_or(MethodIndex::OTHER, MethodIndex)
    }

    /// A method.
    pub fn method(&self, index: MethodIndex) -> &Method {
        &self.methods[index.0]
    }

    /// Counts a call that has ended.
    pub fn note_end(&self, method: MethodIndex, code: Code, took: Duration) {
        self.method(method).durations[code as usize].observe(took);
    }

    /// Counts a refusal by its reason.
    pub fn note_refusal(&self, status: &Status) {
        let reason = reason_name(status);
        let index = reason.and_then(|reason| self.refused.index_of(&reason));
        let index = index.or_else(|| self.refused.index_of(OTHER_REASON));
        if let Some(index) = index {
            self.refused.at(index).inc();
        }
    }
}

/// The numbers of calls, for a registry.
#[derive(Debug)]
pub struct CallCollector(pub Arc<CallMetrics>);

impl Collector for CallCollector {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = to.encode_descriptor(
            "rpc_server_call_duration_seconds",
            "Durations of calls, to the end of their replies. Of codes other than OK, those that have occurred; \
             backpropd_refused_total has every reason from the start",
            None,
            MetricType::Histogram,
        )?;
        for method in &self.0.methods {
            let label = match method.path.strip_prefix('/') {
                Some(name) => name,
                None => OTHER_METHOD,
            };
            for (code, durations) in CODES.iter().zip(&method.durations) {
                if *code == "OK" || durations.count() > 0 {
                    let labels = [("rpc_method", label), ("rpc_response_status_code", *code)];
                    durations.encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let refused = &self.0.refused;
        refused.encode(to.encode_descriptor(
            "backpropd_refused",
            "Calls that ended with an error, by its reason (docs/errors.md)",
            None,
            refused.metric_type(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Refusal;

    fn metrics() -> Arc<CallMetrics> {
        let paths = ["/a.B/Two", "/a.B/One", "/a.B/Two"];
        CallMetrics::new(paths.map(str::to_owned), Gauge::default())
    }

    fn text(metrics: &Arc<CallMetrics>) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(CallCollector(Arc::clone(metrics))));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        text
    }

    #[test]
    fn known_methods_have_a_label_each_and_all_others_share_one() {
        let metrics = metrics();
        for path in ["/a.B/One", "/a.B/Two"] {
            assert_eq!(&*metrics.method(metrics.find(path)).path, path);
        }
        for path in ["", "/", "/a.B/Three", "/x\u{1}", "a.B/One"] {
            assert!(metrics.find(path).is_other(), "{path:?}");
            metrics.note_end(metrics.find(path), Code::Unimplemented, Duration::ZERO);
        }
        let text = text(&metrics);
        let other = "rpc_server_call_duration_seconds_count{rpc_method=\"_OTHER\",rpc_response_status_code=\"UNIMPLEMENTED\"} 5";
        assert!(text.contains(other), "{text}");
        let ok = "rpc_response_status_code=\"OK\"} 0";
        let counts = text
            .lines()
            .filter(|line| line.contains("_count{") && line.ends_with(ok));
        assert_eq!(counts.count(), 3, "{text}");
        assert!(!text.contains("Three"), "{text}");
    }

    #[test]
    fn every_code_and_every_reason_has_its_name() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from_i32(i32::try_from(number).expect("small"));
            assert_eq!(code as usize, number);
            let spelled: String = name.chars().filter(|letter| *letter != '_').collect();
            assert_eq!(format!("{code:?}").to_uppercase(), spelled);
        }
        let metrics = metrics();
        for reason in Reason::ALL {
            metrics.note_refusal(&Refusal::new(*reason, "refused").status());
        }
        metrics.note_refusal(&Status::unknown("without details"));
        let text = text(&metrics);
        let line = |reason: &str, count: usize| {
            format!("backpropd_refused_total{{reason=\"{reason}\"}} {count}\n")
        };
        assert!(text.contains(&line("QUEUE_FULL", 1)), "{text}");
        assert!(text.contains(&line("COMPARE_ONLY", 2)), "{text}");
        assert!(text.contains(&line("OTHER", 1)), "{text}");
    }
}
