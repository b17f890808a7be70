//! Figures for Prometheus, read from their sources when somebody asks.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::latency::LatencyCounts;

/// A part of the node that has figures.
pub trait Source: Send + Sync + 'static {
    /// Hands over the present figures.
    ///
    /// # Errors
    /// Only what `figures` gives.
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result;
}

/// Every figure of the node.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The figures of these sources. Every name starts with `ncore_`.
    #[must_use]
    pub fn new(sources: impl IntoIterator<Item = Arc<dyn Source>>) -> Self {
        let mut registry = Registry::with_prefix("ncore");
        for source in sources {
            registry.register_collector(Box::new(Reader(source)));
        }
        Self { registry }
    }

    /// The figures in the OpenMetrics text format.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Where a source puts its figures.
pub struct Figures<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Figures<'_> {
    /// A number that only rises; the name gets the suffix `_total`.
    ///
    /// # Errors
    /// Never in practice.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// A number that rises and falls.
    ///
    /// # Errors
    /// Never in practice.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// Counters that differ in one label.
    ///
    /// # Errors
    /// Never in practice.
    pub fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, *value)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Gauges that differ in one label.
    ///
    /// # Errors
    /// Never in practice.
    pub fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value, number) in values {
            let labels = [(label, *value)];
            ConstGauge::new(i64::try_from(*number).unwrap_or(i64::MAX)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// How long things took, in seconds.
    ///
    /// # Errors
    /// Never in practice.
    #[expect(clippy::cast_precision_loss, reason = "the format has floating point numbers")]
    pub fn latency(&mut self, name: &str, help: &str, counts: &LatencyCounts) -> fmt::Result {
        let seconds = |us: u64| if us == u64::MAX { f64::MAX } else { us as f64 / 1e6 };
        let buckets: Vec<_> = counts.buckets().map(|(bound, count)| (seconds(bound), count)).collect();
        let mut histogram = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram.encode_histogram::<NoLabelSet>(seconds(counts.sum_us()), counts.count(), &buckets, None)
    }
}

struct Reader(Arc<dyn Source>);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Collector for Reader {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.read(&mut Figures { encoder })
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Metrics, Source};
    use std::{fmt, sync::Arc};

    struct Some3;

    impl Source for Some3 {
        fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
            figures.counter("uploads", "Uploads", 3)?;
            figures.gauge("connections", "Connections", 7)?;
            figures.counters("requests", "Requests", "outcome", &[("ok", 1), ("not_found", 2)])?;
            figures.gauges("memory_bytes", "Memory", "part", &[("log", 5), ("state", 6)])
        }
    }

    #[test]
    fn figures_have_names_labels_and_values() {
        let text = Metrics::new([Arc::new(Some3) as Arc<dyn Source>]).render().expect("renders");
        for line in [
            "ncore_uploads_total 3",
            "ncore_connections 7",
            "ncore_requests_total{outcome=\"ok\"} 1",
            "ncore_requests_total{outcome=\"not_found\"} 2",
            "ncore_memory_bytes{part=\"log\"} 5",
            "ncore_memory_bytes{part=\"state\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
