//! What a worker counts about itself. Names and labels are a contract, told in docs/metrics.md and described once, in
//! `names`. Before [`install`] and without it, counts go nowhere.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::metrics::names::METRICS;

pub mod names;
pub mod jobs;
pub mod chunks;
pub mod store;
pub mod broker;

/// What is counted, for whoever asks.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

/// From now on counts are kept. Called once. `store` is the kind of store.
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
    /// In Prometheus' text format.
    pub fn render(&self) -> String {
        self.process.collect();
        self.file_away();
        self.handle.render()
    }

    /// Files away what was recorded since the last time. Until then each value of a histogram takes memory of its own, so this
    /// is called again and again, whether anybody reads metrics or not.
    pub fn file_away(&self) {
        self.handle.run_upkeep();
    }
}

/// This process has got on with its work.
fn progress_made() {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(names::LAST_PROGRESS).set(since_1970.as_secs_f64());
}
