//! What the server counts for its operator. The fields are counters, gauges and histograms that the rooms update where
//! something happens; state that the host has anyway is read at each scrape (`state`). Every series exists from the
//! start, so that a rate or an alert sees the first event too. No label names a session or a person.

pub mod labelled;
mod process;
pub mod seconds;
pub mod state;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backpropd_bucket::{Operation, Outcome};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;

use self::labelled::Labelled;
use self::seconds::Seconds;
use crate::grade::{Mistake, Verdict};
use crate::store::DiskWatch;

/// Upper bounds of the waiting times for a compute thread, in seconds.
const WAITS: &[f64] = &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// Upper bounds of the durations of a sync, in seconds.
const SYNCS: &[f64] = &[0.0005, 0.002, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

/// Upper bounds of the durations of a request to the shared store, in seconds.
const REQUESTS: &[f64] = &[0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 2.0, 10.0];

/// Stands for "no certificate" in [`Metrics::set_certificate_expiry`].
const NO_EXPIRY: i64 = i64::MAX;

/// Why a caller was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// The call has no credentials.
    Missing,
    /// The credentials cannot be read.
    Malformed,
    /// The signature or the key is wrong.
    Signature,
    /// The credentials have expired.
    Expired,
    /// The credentials were revoked.
    Revoked,
    /// The credentials are for another server.
    Audience,
    /// Too many failures from this address.
    Throttled,
}

impl AuthFailure {
    const WORDS: &[&str] = &[
        "missing",
        "malformed",
        "signature",
        "expired",
        "revoked",
        "audience",
        "throttled",
    ];
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// In the queue of its model.
    Waiting,
    /// Training.
    Running,
}

impl RunState {
    const WORDS: &[&str] = &["waiting", "running"];
}

/// The verdicts, in the order of their numbers.
const VERDICTS: &[Verdict] = &[
    Verdict::Correct,
    Verdict::Partial,
    Verdict::Incorrect,
    Verdict::Invalid,
];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Steps of training.
    pub steps: Counter,
    /// Runs that wait or train now.
    pub runs: Labelled<Gauge>,
    /// Time from a call's submission to its first turn on a compute thread.
    pub queue_wait: Seconds,
    /// Open connections of clients.
    pub connections: Gauge,
    /// Durations of syncs in the data folder.
    pub syncs: Seconds,
    /// Operations in the data folder that failed.
    pub disk_errors: Counter,
    /// Durations of requests to the store that nodes share.
    pub store_requests: Seconds,
    /// Conditional writes that the store refused.
    pub store_conflicts: Counter,
    /// Copies of models that were dropped because another node had changed the model.
    pub moved: Counter,
    /// Callers that were not let in.
    auth_failures: Labelled<Counter>,
    /// Graded answers and tensors by verdict.
    graded: Labelled<Counter>,
    /// Named mistakes in them.
    mistakes: Labelled<Counter>,
    /// When the certificate expires, in seconds since 1970.
    certificate_expiry: AtomicI64,
    started: SystemTime,
}

impl Default for Metrics {
    fn default() -> Self {
        let mistakes: Vec<_> = Mistake::ALL.iter().map(|mistake| mistake.word()).collect();
        let verdicts: Vec<_> = VERDICTS.iter().map(|verdict| verdict.word()).collect();
        Self {
            steps: Counter::default(),
            runs: Labelled::new("state", RunState::WORDS),
            queue_wait: Seconds::new(WAITS),
            connections: Gauge::default(),
            syncs: Seconds::new(SYNCS),
            disk_errors: Counter::default(),
            store_requests: Seconds::new(REQUESTS),
            store_conflicts: Counter::default(),
            moved: Counter::default(),
            auth_failures: Labelled::new("reason", AuthFailure::WORDS),
            graded: Labelled::new("verdict", &verdicts),
            mistakes: Labelled::new("mistake", &mistakes),
            certificate_expiry: AtomicI64::new(NO_EXPIRY),
            started: SystemTime::now(),
        }
    }
}

impl Metrics {
    /// The gauge of the runs in this state.
    pub fn runs(&self, place: RunState) -> &Gauge {
        self.runs.at(place as usize)
    }

    /// Counts a caller that was not let in.
    pub fn note_auth_failure(&self, why: AuthFailure) {
        self.auth_failures.at(why as usize).inc();
    }

    /// Counts a graded answer or tensor.
    pub fn note_graded(&self, verdict: Verdict, mistake: Option<Mistake>) {
        let at = VERDICTS.iter().position(|other| *other == verdict);
        if let Some(at) = at {
            self.graded.at(at).inc();
        }
        let at =
            mistake.and_then(|mistake| Mistake::ALL.iter().position(|other| *other == mistake));
        if let Some(at) = at {
            self.mistakes.at(at).inc();
        }
    }

    /// Sets when the TLS certificate expires; `None` without TLS.
    pub fn set_certificate_expiry(&self, expiry: Option<SystemTime>) {
        let seconds = expiry.map_or(NO_EXPIRY, unix_seconds);
        self.certificate_expiry.store(seconds, Ordering::Relaxed);
    }

    /// Seconds until the certificate expires, negative afterwards; NaN without one, which no comparison holds for.
    fn certificate_seconds_left(&self) -> f64 {
        match self.certificate_expiry.load(Ordering::Relaxed) {
            NO_EXPIRY => f64::NAN,
            expiry => expiry.saturating_sub(unix_seconds(SystemTime::now())) as f64,
        }
    }

    /// Writes all that is counted.
    ///
    /// # Errors
    /// The writer fails.
    fn encode(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut put =
            |name: &str, help: &str, metric: &dyn EncodeMetric| put(to, name, help, metric);
        put(
            "backpropd_steps",
            "Steps of training, from runs and from ApplyGradients",
            &self.steps,
        )?;
        put(
            "backpropd_runs",
            "Runs that wait for their model, and runs that train",
            &self.runs,
        )?;
        put(
            "backpropd_queue_wait_seconds",
            "Time from the submission of work to its first turn on a compute thread; small work runs at once and is not \
             counted",
            &self.queue_wait,
        )?;
        put(
            "backpropd_connections",
            "Open connections of clients",
            &self.connections,
        )?;
        put(
            "backpropd_fsync_seconds",
            "Durations of fsync and fdatasync of sessions, models, the manifest and the log",
            &self.syncs,
        )?;
        put(
            "backpropd_disk_errors",
            "Reads, writes, syncs and renames in the data folder that failed, a full disk included",
            &self.disk_errors,
        )?;
        put(
            "backpropd_store_request_seconds",
            "Durations of requests to the store that the nodes of a cluster share",
            &self.store_requests,
        )?;
        put(
            "backpropd_store_conflicts",
            "Conditional writes that the shared store refused",
            &self.store_conflicts,
        )?;
        put(
            "backpropd_moved",
            "Copies of models that this node dropped because another node had changed the model",
            &self.moved,
        )?;
        put(
            "backpropd_auth_failures",
            "Calls whose credentials were refused",
            &self.auth_failures,
        )?;
        put(
            "backpropd_graded",
            "Graded answers and tensors",
            &self.graded,
        )?;
        put(
            "backpropd_mistakes",
            "Mistakes that grading has named",
            &self.mistakes,
        )?;
        put(
            "backpropd_tls_certificate_expiry_seconds",
            "Seconds until the TLS certificate expires; NaN without TLS",
            &Constant(self.certificate_seconds_left()),
        )?;
        let build = Info::new([
            ("version", env!("CARGO_PKG_VERSION")),
            ("target", std::env::consts::ARCH),
        ]);
        put("backpropd_build", "The version of the server", &build)
    }
}

/// Writes one metric.
fn put(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &dyn EncodeMetric,
) -> fmt::Result {
    metric.encode(to.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// A gauge that is read at the scrape.
#[derive(Debug)]
struct Constant(f64);

impl EncodeMetric for Constant {
    fn encode(&self, mut to: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        to.encode_gauge(&self.0)
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        prometheus_client::metrics::MetricType::Gauge
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What the data folder reports.
impl DiskWatch for Metrics {
    fn synced(&self, took: Duration) {
        self.syncs.observe(took);
    }

    fn failed(&self) {
        self.disk_errors.inc();
    }
}

/// What the shared store reports.
impl backpropd_bucket::Watch for Metrics {
    fn request(&self, _: Operation, took: Duration, outcome: Outcome) {
        self.store_requests.observe(took);
        if outcome == Outcome::Refused {
            self.store_conflicts.inc();
        }
    }
}

/// A gauge that counts this value while it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// Counts one more in `gauge`.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_a_word() {
        assert_eq!(
            AuthFailure::Throttled as usize + 1,
            AuthFailure::WORDS.len()
        );
        assert_eq!(RunState::Running as usize + 1, RunState::WORDS.len());
    }

    #[test]
    fn a_certificate_that_has_expired_shows_a_negative_time() {
        let metrics = Metrics::default();
        assert!(metrics.certificate_seconds_left().is_nan());
        metrics.set_certificate_expiry(Some(SystemTime::now() - Duration::from_secs(100)));
        let left = metrics.certificate_seconds_left();
        assert!((-102.0..=-99.0).contains(&left), "{left}");
        metrics.set_certificate_expiry(Some(SystemTime::now() + Duration::from_secs(100)));
        assert!(metrics.certificate_seconds_left() > 98.0);
    }
}
