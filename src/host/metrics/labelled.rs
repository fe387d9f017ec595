//! Metrics with one label whose values are known at the start.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;

/// A metric for each value of a label. A value is found by its index, without a lock or a hash.
#[derive(Debug)]
pub struct Labelled<M> {
    label: &'static str,
    values: Box<[(&'static str, M)]>,
}

impl<M: Default> Labelled<M> {
    /// A metric for each of `values`.
    pub fn new(label: &'static str, values: &[&'static str]) -> Self {
        let values = values.iter().map(|value| (*value, M::default()));
        Self {
            label,
            values: values.collect(),
        }
    }

    /// The metric of the value at this index.
    pub fn at(&self, index: usize) -> &M {
        &self.values[index].1
    }

    /// The index of a value.
    pub fn index_of(&self, value: &str) -> Option<usize> {
        self.values.iter().position(|(other, _)| *other == value)
    }
}

impl<M: EncodeMetric + Default> EncodeMetric for Labelled<M> {
    fn encode(&self, mut to: MetricEncoder<'_>) -> fmt::Result {
        for (value, metric) in &self.values {
            metric.encode(to.encode_family(&[(self.label, *value)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::default().metric_type()
    }
}
