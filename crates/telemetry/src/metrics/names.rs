//! Every metric: its name, what it means, and the values of its labels. docs/metrics.md says it to people; a test compares.

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

pub const BUILD_INFO: &str = "codemint_build_info";
pub const JOBS_RECEIVED: &str = "codemint_jobs_received_total";
pub const JOBS_OPENED: &str = "codemint_jobs_opened_total";
pub const JOBS_FINISHED: &str = "codemint_jobs_finished_total";
pub const JOBS: &str = "codemint_jobs";
pub const OLDEST_WAITING_JOB_AGE: &str = "codemint_oldest_waiting_job_age_seconds";
pub const JOB_WAIT: &str = "codemint_job_wait_seconds";
pub const JOB_RUN: &str = "codemint_job_run_seconds";
pub const KEYSPACE_USED: &str = "codemint_keyspace_used_ratio";
pub const CODES_MINTED: &str = "codemint_codes_minted_total";
pub const CANDIDATES_REJECTED: &str = "codemint_candidates_rejected_total";
pub const FALSE_POSITIVES: &str = "codemint_prefilter_false_positives_total";
pub const CHUNKS_CLAIMED: &str = "codemint_chunks_claimed_total";
pub const CHUNKS_MINTED: &str = "codemint_chunks_minted_total";
pub const CHUNK_DURATION: &str = "codemint_chunk_duration_seconds";
pub const CHUNK_CONFLICTS: &str = "codemint_chunk_conflicts_total";
pub const CHUNK_RETRIES: &str = "codemint_chunk_retries_total";
pub const COMMITS_AMBIGUOUS: &str = "codemint_commits_ambiguous_total";
pub const PREFILTER_LOAD: &str = "codemint_prefilter_load_seconds";
pub const PREFILTER_BYTES: &str = "codemint_prefilter_bytes";
pub const PREFILTER_FILL: &str = "codemint_prefilter_fill_ratio";
pub const WRITERS_BUSY: &str = "codemint_writers_busy";
pub const WRITERS_ALLOWED: &str = "codemint_writers_allowed";
pub const LAST_PROGRESS: &str = "codemint_last_progress_timestamp_seconds";
pub const STORE_UP: &str = "codemint_store_up";
pub const POOL_CONNECTIONS: &str = "codemint_store_pool_connections";
pub const POOL_CONNECTIONS_MAX: &str = "codemint_store_pool_connections_max";
pub const STORE_ERRORS: &str = "codemint_store_errors_total";
pub const STATEMENTS_GIVEN_UP: &str = "codemint_store_statements_given_up_total";
pub const OUTBOX_EVENTS: &str = "codemint_outbox_events";
pub const BROKER_CONNECTED: &str = "codemint_broker_connected";
pub const BROKER_BLOCKED: &str = "codemint_broker_blocked";
pub const BROKER_RECONNECTS: &str = "codemint_broker_reconnects_total";
pub const BROKER_MESSAGES: &str = "codemint_broker_messages_total";
pub const EVENTS_PUBLISHED: &str = "codemint_events_published_total";
pub const BROKER_CONFIRM: &str = "codemint_broker_confirm_seconds";
pub const QUEUE_MESSAGES: &str = "codemint_broker_queue_messages";
pub const QUEUE_CONSUMERS: &str = "codemint_broker_queue_consumers";

/// From a round trip on the same machine to a chunk in a crowded slice.
const CHUNK_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// From ten codes to a hundred million, from an idle worker to a night's queue.
const JOB_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0];

type Labels = &'static [(&'static str, &'static str)];

/// A metric and all that is fixed about it.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    help: &'static str,
    /// What is told from the start, as 0; empty for a metric without labels.
    series: &'static [Labels],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    /// Told from the start, as 0.
    Gauge,
    /// In seconds, from when there is something to tell.
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
    gauge(BUILD_INFO, "What runs here: 1, the rest is in the labels", NONE),
    counter(
        JOBS_RECEIVED,
        "Jobs that came in, by where from and what became of them",
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
        "Jobs that this process brought to an end, by how they ended",
        &[&[("outcome", "completed")], &[("outcome", "failed")], &[("outcome", "cancelled")]],
    ),
    gauge(
        JOBS,
        "Unfinished jobs of the store, by state; the same for all workers",
        &[&[("state", "queued")], &[("state", "running")], &[("state", "cancelling")]],
    ),
    gauge(
        OLDEST_WAITING_JOB_AGE,
        "How long the oldest queued job of the store has waited; the same for all workers",
        &[],
    ),
    job_seconds(JOB_WAIT, "From a job's row to its first chunk"),
    job_seconds(JOB_RUN, "From a job's first chunk to its end, by how it ended"),
    gauge(
        KEYSPACE_USED,
        "How much of the fullest keyspace in use is minted or promised; the same for all workers",
        &[],
    ),
    counter(CODES_MINTED, "Codes that this process has committed", &[]),
    counter(
        CANDIDATES_REJECTED,
        "Candidates of committed chunks that did not become codes, by reason",
        &[&[("reason", "existing")], &[("reason", "conflict")], &[("reason", "reserved")], &[("reason", "denied")]],
    ),
    counter(FALSE_POSITIVES, "Candidates that a filter said maybe of, and that were new", &[]),
    counter(CHUNKS_CLAIMED, "Chunks that this process has begun to mint", &[]),
    counter(CHUNKS_MINTED, "Chunks that this process has committed", &[]),
    chunk_seconds(CHUNK_DURATION, "Where the time of committed chunks went, by phase"),
    counter(CHUNK_CONFLICTS, "Times that a chunk met a code that somebody else had just put in", &[]),
    counter(
        CHUNK_RETRIES,
        "Chunks that were begun again after an error, by reason",
        &[&[("reason", "away")], &[("reason", "conflict")], &[("reason", "no_space")], &[("reason", "failed")]],
    ),
    counter(
        COMMITS_AMBIGUOUS,
        "Commits that ended in an error, by what the store says of them",
        &[&[("outcome", "done")], &[("outcome", "not_done")]],
    ),
    chunk_seconds(PREFILTER_LOAD, "Reading and opening the filters that a chunk meets"),
    gauge(PREFILTER_BYTES, "Filters held by the chunks at hand", &[]),
    gauge(PREFILTER_FILL, "Share of bits that are set in the filters loaded last", &[]),
    gauge(WRITERS_BUSY, "Chunks that are minted at this moment", &[]),
    gauge(WRITERS_ALLOWED, "Chunks that may be minted at once", &[]),
    gauge(LAST_PROGRESS, "When this process last committed a chunk or ended a job; its start until then", NONE),
    gauge(STORE_UP, "Whether the store answered when it was last asked", &[]),
    gauge(POOL_CONNECTIONS, "Connections of the pool, by what they do", &[&[("state", "idle")], &[("state", "used")]]),
    gauge(POOL_CONNECTIONS_MAX, "Most connections that the pool may have", &[]),
    counter(
        STORE_ERRORS,
        "Errors of the store that this process met, by what can be done about them",
        &[&[("class", "away")], &[("class", "conflict")], &[("class", "no_space")], &[("class", "permanent")]],
    ),
    counter(STATEMENTS_GIVEN_UP, "Statements that the store neither answered nor worked on", &[]),
    gauge(OUTBOX_EVENTS, "Events in the store that wait to be published; the same for all workers", &[]),
    gauge(BROKER_CONNECTED, "Whether a session with the broker is open", &[]),
    gauge(BROKER_BLOCKED, "Whether the broker takes no messages for now", &[]),
    counter(BROKER_RECONNECTS, "Sessions with the broker after the first one", &[]),
    counter(
        BROKER_MESSAGES,
        "Messages taken from the queue of jobs, by what became of them",
        &[&[("result", "acknowledged")], &[("result", "dead_lettered")], &[("result", "returned")]],
    ),
    counter(
        EVENTS_PUBLISHED,
        "Events published, by what the broker made of them",
        &[&[("result", "confirmed")], &[("result", "refused")], &[("result", "given_up")]],
    ),
    chunk_seconds(BROKER_CONFIRM, "From publishing a batch of events to the broker's confirmation"),
    gauge(
        QUEUE_MESSAGES,
        "Messages ready in a queue of the broker; the same for all workers",
        &[&[("queue", "jobs")], &[("queue", "dead")]],
    ),
    gauge(QUEUE_CONSUMERS, "Consumers of a queue of the broker; the same for all workers", &[&[("queue", "jobs")]]),
];

/// Of a gauge that 0 would say something wrong of.
const NONE: &[Labels] = &[&[("", "")]];

impl Metric {
    pub const fn buckets(&self) -> &'static [f64] {
        match self.kind {
            Kind::Counter | Kind::Gauge => &[],
            Kind::ChunkSeconds => CHUNK_SECONDS,
            Kind::JobSeconds => JOB_SECONDS,
        }
    }

    /// Of the series that are told from the start.
    pub fn label_names(&self) -> impl Iterator<Item = &'static str> {
        self.series
            .first()
            .into_iter()
            .flat_map(|labels| labels.iter().map(|(name, _)| *name))
            .filter(|name| !name.is_empty())
    }

    /// What is told only where a broker is configured.
    pub fn is_of_broker(&self) -> bool {
        self.name.starts_with("codemint_broker_") || self.name == EVENTS_PUBLISHED
    }

    pub(super) fn describe(&self) {
        match self.kind {
            Kind::Counter => describe_counter!(self.name, self.help),
            Kind::Gauge => describe_gauge!(self.name, self.help),
            Kind::ChunkSeconds | Kind::JobSeconds => describe_histogram!(self.name, Unit::Seconds, self.help),
        }
    }

    /// Rates are right from the first event on when there was a 0 before it.
    pub(super) fn begin(&self) {
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
