//! Records the metrics of a process, from [`install`] on; before that and without it, values are dropped.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::metrics::names::{self, METRICS};

/// The recorded metrics, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

/// Starts to record metrics. Called once. `store` is the kind of store.
///
/// # Errors
/// If it was called before.
pub fn install(store: &'static str, generator_version: u32, has_broker: bool) -> Result<Metrics, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS.iter().filter(|metric| !metric.buckets().is_empty()) {
        builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.buckets())?;
    }
    let handle = builder.install_recorder()?;
    for metric in METRICS.iter().filter(|metric| has_broker || !metric.is_of_broker()) {
        metric.describe();
        metric.begin();
    }
    let process = Collector::default();
    process.describe();
    let (version, generator) = (env!("CARGO_PKG_VERSION"), generator_version.to_string());
    gauge!(names::BUILD_INFO, "version" => version, "generator_version" => generator, "store" => store).set(1.0);
    progress_made();
    Ok(Metrics { handle, process })
}

impl Metrics {
    /// Returns the metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.process.collect();
        self.file_away();
        self.handle.render()
    }

    /// Aggregates the values recorded since the last call. Until then each value of a histogram takes memory of its
    /// own, so this is called regularly, whether or not metrics are scraped.
    pub fn file_away(&self) {
        self.handle.run_upkeep();
    }
}

/// Records that this process has made progress now.
pub(crate) fn progress_made() {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(names::LAST_PROGRESS).set(since_1970.as_secs_f64());
}
