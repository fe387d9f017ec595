//! The state of the host, read at each scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;

use super::process::Process;
use super::{Constant, put};
use crate::host::Host;

/// The metrics of a host, for a registry.
pub struct HostMetrics(pub Arc<Host>);

impl fmt::Debug for HostMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostMetrics")
    }
}

/// Models in memory, and models that are only on disk.
struct Models([(&'static str, usize); 2]);

impl EncodeMetric for Models {
    fn encode(&self, mut to: MetricEncoder<'_>) -> fmt::Result {
        for (resident, models) in self.0 {
            let label = [("resident", resident)];
            to.encode_family(&label)?.encode_gauge(&(models as f64))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl Collector for HostMetrics {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let host = &*self.0;
        host.metrics.encode(&mut to)?;
        let (counts, bytes) = {
            let registry = host.registry();
            (registry.counts(), registry.bytes())
        };
        let (sessions, models, resident) = counts;
        let models = Models([
            ("true", resident),
            ("false", models.saturating_sub(resident)),
        ]);
        put(
            &mut to,
            "backpropd_models",
            "Models, in memory and only on disk",
            &models,
        )?;
        let (threads, busy, waiting) = host.compute.occupancy();
        let limit = host.memory.limit();
        let gauges = [
            ("backpropd_sessions", "Sessions", sessions),
            (
                "backpropd_parameter_bytes",
                "Size of the parameters and optimizer states of all models",
                bytes,
            ),
            (
                "backpropd_parameter_limit_bytes",
                "The setting max_total_parameter_bytes",
                host.config.max_total_parameter_bytes,
            ),
            (
                "backpropd_in_flight_bytes",
                "Memory reserved by calls in progress",
                limit.saturating_sub(host.memory.free()),
            ),
            (
                "backpropd_in_flight_limit_bytes",
                "The setting max_in_flight_bytes",
                limit,
            ),
            ("backpropd_threads", "Compute threads", threads),
            ("backpropd_busy_threads", "Compute threads that work", busy),
            (
                "backpropd_queue_length",
                "Calls and runs that wait for a compute thread",
                waiting,
            ),
            (
                "backpropd_log_bytes",
                "Size of the log of commits",
                host.persistence.log_bytes(),
            ),
            (
                "backpropd_lost_models",
                "Models that answer DATA_LOSS until they are deleted",
                host.persistence.losses(),
            ),
        ];
        for (name, help, value) in gauges {
            put(&mut to, name, help, &Constant(value as f64))?;
        }
        Process::read(host.metrics.started).encode(&mut to)
    }
}
