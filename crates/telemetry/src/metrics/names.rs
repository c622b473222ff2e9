//! Every metric: its name, its meaning, and the values of its labels. docs/metrics.md documents them; a test compares.

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

pub(crate) const BUILD_INFO: &str = "codemint_build_info";
pub(crate) const JOBS_RECEIVED: &str = "codemint_jobs_received_total";
pub(crate) const JOBS_OPENED: &str = "codemint_jobs_opened_total";
pub const JOBS_FINISHED: &str = "codemint_jobs_finished_total";
pub const JOBS: &str = "codemint_jobs";
pub const OLDEST_WAITING_JOB_AGE: &str = "codemint_oldest_waiting_job_age_seconds";
pub(crate) const JOB_WAIT: &str = "codemint_job_wait_seconds";
pub(crate) const JOB_RUN: &str = "codemint_job_run_seconds";
pub const KEYSPACE_USED: &str = "codemint_keyspace_used_ratio";
pub const CODES_MINTED: &str = "codemint_codes_minted_total";
pub const CANDIDATES_REJECTED: &str = "codemint_candidates_rejected_total";
pub(crate) const FALSE_POSITIVES: &str = "codemint_prefilter_false_positives_total";
pub(crate) const CHUNKS_CLAIMED: &str = "codemint_chunks_claimed_total";
pub(crate) const CHUNKS_MINTED: &str = "codemint_chunks_minted_total";
pub(crate) const CHUNK_DURATION: &str = "codemint_chunk_duration_seconds";
pub const CHUNK_CONFLICTS: &str = "codemint_chunk_conflicts_total";
pub(crate) const CHUNK_RETRIES: &str = "codemint_chunk_retries_total";
pub(crate) const COMMITS_AMBIGUOUS: &str = "codemint_commits_ambiguous_total";
pub(crate) const PREFILTER_LOAD: &str = "codemint_prefilter_load_seconds";
pub const PREFILTER_BYTES: &str = "codemint_prefilter_bytes";
pub(crate) const PREFILTER_FILL: &str = "codemint_prefilter_fill_ratio";
pub const WRITERS_BUSY: &str = "codemint_writers_busy";
pub const WRITERS_ALLOWED: &str = "codemint_writers_allowed";
pub const LAST_PROGRESS: &str = "codemint_last_progress_timestamp_seconds";
pub const STORE_UP: &str = "codemint_store_up";
pub const POOL_CONNECTIONS: &str = "codemint_store_pool_connections";
pub const POOL_CONNECTIONS_MAX: &str = "codemint_store_pool_connections_max";
pub const STORE_ERRORS: &str = "codemint_store_errors_total";
pub(crate) const STATEMENTS_GIVEN_UP: &str = "codemint_store_statements_given_up_total";
pub const OUTBOX_EVENTS: &str = "codemint_outbox_events";
pub const BROKER_CONNECTED: &str = "codemint_broker_connected";
pub const BROKER_BLOCKED: &str = "codemint_broker_blocked";
pub const BROKER_RECONNECTS: &str = "codemint_broker_reconnects_total";
pub(crate) const BROKER_MESSAGES: &str = "codemint_broker_messages_total";
pub const EVENTS_PUBLISHED: &str = "codemint_events_published_total";
pub(crate) const BROKER_CONFIRM: &str = "codemint_broker_confirm_seconds";
pub const QUEUE_MESSAGES: &str = "codemint_broker_queue_messages";
pub(crate) const QUEUE_CONSUMERS: &str = "codemint_broker_queue_consumers";

/// Buckets from a round trip on the same machine to a chunk in a crowded slice.
const CHUNK_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets from ten codes to a hundred million, and from an idle worker to a night's queue.
const JOB_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0];

type Labels = &'static [(&'static str, &'static str)];

/// A metric and its fixed properties.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    help: &'static str,
    /// The series that are exposed from the start, as 0; empty for a metric without labels.
    series: &'static [Labels],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    /// Exposed from the start, as 0.
    Gauge,
    /// A histogram in seconds, exposed from its first value on.
    ChunkSeconds,
    JobSeconds,
}

const fn counter(name: &'static str, help: &'static str, series: &'static [Labels]) -> Metric {
    Metric { name, kind: Kind::Counter, help, series }
}

const fn gauge(name: &'static str, help: &'static str, series: &'static [Labels]) -> Metric {
    Metric { name, kind: Kind::Gauge, help, series }
}

const fn chunk_seconds(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::ChunkSeconds, help, series: &[] }
}

const fn job_seconds(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::JobSeconds, help, series: &[] }
}

pub const METRICS: [Metric; 38] = [
    gauge(BUILD_INFO, "Version and store of this process, in the labels; always 1", NONE),
    counter(
        JOBS_RECEIVED,
        "Jobs received, by source and outcome",
        &[
            &[("source", "broker"), ("outcome", "accepted")],
            &[("source", "broker"), ("outcome", "repeated")],
            &[("source", "broker"), ("outcome", "refused")],
            &[("source", "broker"), ("outcome", "dead_lettered")],
            &[("source", "store"), ("outcome", "accepted")],
        ],
    ),
    counter(JOBS_OPENED, "Jobs that this process turned from queued to running", &[]),
    counter(
        JOBS_FINISHED,
        "Jobs that this process ended, by outcome",
        &[&[("outcome", "completed")], &[("outcome", "failed")], &[("outcome", "cancelled")]],
    ),
    gauge(
        JOBS,
        "Unfinished jobs of the store, by state; the same for all workers",
        &[&[("state", "queued")], &[("state", "running")], &[("state", "cancelling")]],
    ),
    gauge(OLDEST_WAITING_JOB_AGE, "Age of the oldest queued job of the store; the same for all workers", &[]),
    job_seconds(JOB_WAIT, "Time from storing a job to its first chunk"),
    job_seconds(JOB_RUN, "Time from a job's first chunk to its end, by outcome"),
    gauge(
        KEYSPACE_USED,
        "Share of the fullest keyspace in use that is minted or promised; the same for all workers",
        &[],
    ),
    counter(CODES_MINTED, "Codes that this process has committed", &[]),
    counter(
        CANDIDATES_REJECTED,
        "Candidates of committed chunks that did not become codes, by reason",
        &[&[("reason", "existing")], &[("reason", "conflict")], &[("reason", "reserved")], &[("reason", "denied")]],
    ),
    counter(FALSE_POSITIVES, "New candidates for which a filter said maybe", &[]),
    counter(CHUNKS_CLAIMED, "Chunks that this process has begun to mint", &[]),
    counter(CHUNKS_MINTED, "Chunks that this process has committed", &[]),
    chunk_seconds(CHUNK_DURATION, "Time of committed chunks, by phase"),
    counter(CHUNK_CONFLICTS, "Times that a chunk met a code which another process had just stored", &[]),
    counter(
        CHUNK_RETRIES,
        "Chunks that were begun again after an error, by reason",
        &[&[("reason", "away")], &[("reason", "conflict")], &[("reason", "no_space")], &[("reason", "failed")]],
    ),
    counter(
        COMMITS_AMBIGUOUS,
        "Commits that returned an error, by their outcome in the store",
        &[&[("outcome", "done")], &[("outcome", "not_done")]],
    ),
    chunk_seconds(PREFILTER_LOAD, "Time to read and open the filters that a chunk needs"),
    gauge(PREFILTER_BYTES, "Bytes of the filters held by chunks in progress", &[]),
    gauge(PREFILTER_FILL, "Share of bits that are set in the filters loaded last", &[]),
    gauge(WRITERS_BUSY, "Chunks that are being minted now", &[]),
    gauge(WRITERS_ALLOWED, "Chunks that may be minted at once", &[]),
    gauge(LAST_PROGRESS, "Time of this process's last committed chunk or ended job; its start until then", NONE),
    gauge(STORE_UP, "Whether the store answered when it was last polled", &[]),
    gauge(POOL_CONNECTIONS, "Connections of the pool, by state", &[&[("state", "idle")], &[("state", "used")]]),
    gauge(POOL_CONNECTIONS_MAX, "Maximum number of connections of the pool", &[]),
    counter(
        STORE_ERRORS,
        "Errors of the store that this process met, by class",
        &[&[("class", "away")], &[("class", "conflict")], &[("class", "no_space")], &[("class", "permanent")]],
    ),
    counter(STATEMENTS_GIVEN_UP, "Statements given up because the store neither answered nor worked on them", &[]),
    gauge(OUTBOX_EVENTS, "Events in the store that wait to be published; the same for all workers", &[]),
    gauge(BROKER_CONNECTED, "Whether a session with the broker is open", &[]),
    gauge(BROKER_BLOCKED, "Whether the broker accepts no messages at the moment", &[]),
    counter(BROKER_RECONNECTS, "Sessions with the broker after the first one", &[]),
    counter(
        BROKER_MESSAGES,
        "Messages taken from the job queue, by result",
        &[&[("result", "acknowledged")], &[("result", "dead_lettered")], &[("result", "returned")]],
    ),
    counter(
        EVENTS_PUBLISHED,
        "Events published, by result",
        &[&[("result", "confirmed")], &[("result", "refused")], &[("result", "given_up")]],
    ),
    chunk_seconds(BROKER_CONFIRM, "Time from publishing a batch of events to the broker's confirmation"),
    gauge(
        QUEUE_MESSAGES,
        "Messages ready in a queue of the broker; the same for all workers",
        &[&[("queue", "jobs")], &[("queue", "dead")]],
    ),
    gauge(QUEUE_CONSUMERS, "Consumers of a queue of the broker; the same for all workers", &[&[("queue", "jobs")]]),
];

/// The series of a gauge for which 0 would be wrong: none is exposed at the start.
const NONE: &[Labels] = &[&[("", "")]];

impl Metric {
    pub const fn buckets(&self) -> &'static [f64] {
        match self.kind {
            Kind::Counter | Kind::Gauge => &[],
            Kind::ChunkSeconds => CHUNK_SECONDS,
            Kind::JobSeconds => JOB_SECONDS,
        }
    }

    /// Returns the label names of the series that are exposed from the start.
    pub fn label_names(&self) -> impl Iterator<Item = &'static str> {
        self.series
            .first()
            .into_iter()
            .flat_map(|labels| labels.iter().map(|(name, _)| *name))
            .filter(|name| !name.is_empty())
    }

    /// Returns true if the metric is exposed only where a broker is configured.
    pub(crate) fn is_of_broker(&self) -> bool {
        self.name.starts_with("codemint_broker_") || self.name == EVENTS_PUBLISHED
    }

    pub(crate) fn describe(&self) {
        match self.kind {
            Kind::Counter => describe_counter!(self.name, self.help),
            Kind::Gauge => describe_gauge!(self.name, self.help),
            Kind::ChunkSeconds | Kind::JobSeconds => describe_histogram!(self.name, Unit::Seconds, self.help),
        }
    }

    /// Exposes the zeros of the start: rates are right from the first event on only if there was a 0 before it.
    pub(crate) fn begin(&self) {
        let all = if self.series.is_empty() { &[&[] as Labels] } else { self.series };
        for labels in all.iter().filter(|labels| labels.iter().all(|(name, _)| !name.is_empty())) {
            let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::from_static_parts(name, value)).collect();
            match self.kind {
                Kind::Counter => counter!(self.name, labels).absolute(0),
                Kind::Gauge => gauge!(self.name, labels).set(0.0),
                Kind::ChunkSeconds | Kind::JobSeconds => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Kind, METRICS};

    #[test]
    fn every_metric_has_a_name_of_its_own_that_ends_as_prometheus_expects() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in &METRICS {
            assert!(metric.name.starts_with("codemint_"), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            let is_histogram = matches!(metric.kind, Kind::ChunkSeconds | Kind::JobSeconds);
            assert!(!is_histogram || metric.name.ends_with("_seconds"), "{}", metric.name);
            assert_eq!(is_histogram, !metric.buckets().is_empty(), "{}", metric.name);
        }
    }

    #[test]
    fn all_series_of_a_metric_have_the_same_labels() {
        for metric in &METRICS {
            let names: Vec<&str> = metric.label_names().collect();
            for labels in metric.series.iter().filter(|labels| labels.iter().all(|(name, _)| !name.is_empty())) {
                assert_eq!(labels.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names, "{}", metric.name);
            }
        }
    }

    #[test]
    fn buckets_are_ascending() {
        assert!(METRICS.iter().all(|metric| metric.buckets().is_sorted_by(|a, b| a < b)));
    }
}
