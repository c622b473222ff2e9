//! Every metric: its name, its meaning, and the values of its labels. docs/metrics.md documents them; a test compares.

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

/// Buckets from a round trip on the same machine to a chunk in a crowded slice.
const CHUNK_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets from ten codes to a hundred million, and from an idle worker to a night's queue.
const JOB_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0];

/// Buckets from a lone request to the largest batch.
const BATCH_SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

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
    /// A histogram of numbers of requests, exposed from its first value on.
    BatchSize,
}

/// Declares the name of each metric as a constant, and the table of all metrics.
macro_rules! metrics {
    ($($visibility:vis $constant:ident: $kind:ident = $name:literal, $help:literal, $series:expr;)*) => {
        $($visibility const $constant: &str = $name;)*
        pub const METRICS: &[Metric] =
            &[$(Metric { name: $name, kind: Kind::$kind, help: $help, series: $series }),*];
    };
}

/// One series for each value of a label.
macro_rules! by {
    ($label:literal: $($value:literal),*) => { &[$(&[($label, $value)]),*] };
}

metrics! {
    pub(crate) BUILD_INFO: Gauge =
        "codemint_build_info", "Version and store of this process, in the labels; always 1", NONE;
    pub(crate) JOBS_RECEIVED: Counter = "codemint_jobs_received_total", "Jobs received, by source and outcome", &[
        &[("source", "broker"), ("outcome", "accepted")],
        &[("source", "broker"), ("outcome", "repeated")],
        &[("source", "broker"), ("outcome", "refused")],
        &[("source", "broker"), ("outcome", "dead_lettered")],
        &[("source", "store"), ("outcome", "accepted")],
    ];
    pub(crate) JOBS_OPENED: Counter =
        "codemint_jobs_opened_total", "Jobs that this process turned from queued to running", &[];
    pub JOBS_FINISHED: Counter =
        "codemint_jobs_finished_total", "Jobs that this process ended, by outcome",
        by!("outcome": "completed", "failed", "cancelled");
    pub JOBS: Gauge =
        "codemint_jobs", "Unfinished jobs of the store, by state; the same for all workers",
        by!("state": "queued", "running", "cancelling");
    pub OLDEST_WAITING_JOB_AGE: Gauge =
        "codemint_oldest_waiting_job_age_seconds", "Age of the oldest queued job of the store; the same for all workers",
        &[];
    pub JOBS_WAITING_FOR_ROOM: Gauge =
        "codemint_jobs_waiting_for_room", "Queued jobs of the store that may not start because unfinished jobs may take the codes that they need; the same for all workers",
        &[];
    pub(crate) JOB_WAIT: JobSeconds = "codemint_job_wait_seconds", "Time from storing a job to its first chunk", &[];
    pub(crate) JOB_RUN: JobSeconds =
        "codemint_job_run_seconds", "Time from a job's first chunk to its end, by outcome", &[];
    pub KEYSPACE_USED: Gauge =
        "codemint_keyspace_used_ratio", "Share of the fullest keyspace in use that is minted or promised; the same for all workers",
        &[];
    pub CODES_MINTED: Counter = "codemint_codes_minted_total", "Codes that this process has committed", &[];
    pub CANDIDATES_REJECTED: Counter =
        "codemint_candidates_rejected_total", "Candidates of committed chunks that did not become codes, by reason",
        by!("reason": "existing", "conflict", "reserved", "denied");
    pub(crate) FALSE_POSITIVES: Counter =
        "codemint_prefilter_false_positives_total", "New candidates for which a filter said maybe", &[];
    pub(crate) CHUNKS_CLAIMED: Counter =
        "codemint_chunks_claimed_total", "Chunks that this process has begun to mint", &[];
    pub(crate) CHUNKS_MINTED: Counter = "codemint_chunks_minted_total", "Chunks that this process has committed", &[];
    pub(crate) CHUNK_DURATION: ChunkSeconds =
        "codemint_chunk_duration_seconds", "Time of committed chunks, by phase", &[];
    pub CHUNK_CONFLICTS: Counter =
        "codemint_chunk_conflicts_total", "Times that a chunk met a code which another process had just stored", &[];
    pub(crate) CHUNK_RETRIES: Counter =
        "codemint_chunk_retries_total", "Chunks that were begun again after an error, by reason",
        by!("reason": "away", "conflict", "unclear", "no_space", "failed");
    pub(crate) COMMITS_AMBIGUOUS: Counter =
        "codemint_commits_ambiguous_total", "Commits that returned an error, by their outcome in the store",
        by!("outcome": "done", "not_done");
    pub(crate) PREFILTER_LOAD: ChunkSeconds =
        "codemint_prefilter_load_seconds", "Time to read and open the filters that a chunk needs", &[];
    pub PREFILTER_BYTES: Gauge = "codemint_prefilter_bytes", "Bytes of the filters held by chunks in progress", &[];
    pub(crate) PREFILTER_FILL: Gauge =
        "codemint_prefilter_fill_ratio", "Share of bits that are set in the filters loaded last", &[];
    pub WRITERS_BUSY: Gauge = "codemint_writers_busy", "Chunks that are being minted now", &[];
    pub WRITERS_ALLOWED: Gauge = "codemint_writers_allowed", "Chunks that may be minted at once", &[];
    pub LAST_PROGRESS: Gauge =
        "codemint_last_progress_timestamp_seconds", "Time of this process's last committed chunk or ended job; its start until then",
        NONE;
    pub STORE_UP: Gauge = "codemint_store_up", "Whether the store answered when it was last polled", &[];
    pub POOL_CONNECTIONS: Gauge =
        "codemint_store_pool_connections", "Connections of the pool, by state", by!("state": "idle", "used");
    pub POOL_CONNECTIONS_MAX: Gauge =
        "codemint_store_pool_connections_max", "Maximum number of connections of the pool", &[];
    pub STORE_ERRORS: Counter =
        "codemint_store_errors_total", "Errors of the store that this process met, by class",
        by!("class": "away", "conflict", "unclear", "no_space", "permanent");
    pub(crate) STATEMENTS_GIVEN_UP: Counter =
        "codemint_store_statements_given_up_total", "Statements given up because the store neither answered nor worked on them",
        &[];
    pub OUTBOX_EVENTS: Gauge =
        "codemint_outbox_events", "Events in the store that wait to be published; the same for all workers", &[];
    pub BROKER_CONNECTED: Gauge = "codemint_broker_connected", "Whether a session with the broker is open", &[];
    pub BROKER_BLOCKED: Gauge = "codemint_broker_blocked", "Whether the broker accepts no messages at the moment", &[];
    pub BROKER_RECONNECTS: Counter =
        "codemint_broker_reconnects_total", "Sessions with the broker after the first one", &[];
    pub(crate) BROKER_MESSAGES: Counter =
        "codemint_broker_messages_total", "Messages taken from the queues of jobs and triggers, by result",
        by!("result": "acknowledged", "dead_lettered", "returned");
    pub EVENTS_PUBLISHED: Counter =
        "codemint_events_published_total", "Events published, by result",
        by!("result": "confirmed", "refused", "given_up");
    pub(crate) BROKER_CONFIRM: ChunkSeconds =
        "codemint_broker_confirm_seconds", "Time from publishing a batch of events to the broker's confirmation", &[];
    pub QUEUE_MESSAGES: Gauge =
        "codemint_broker_queue_messages", "Messages ready in a queue of the broker; the same for all workers",
        by!("queue": "jobs", "triggers", "dead");
    pub(crate) QUEUE_CONSUMERS: Gauge =
        "codemint_broker_queue_consumers", "Consumers of a queue of the broker; the same for all workers",
        by!("queue": "jobs", "triggers");
    pub REDEMPTIONS: Counter =
        "codemint_redemptions_total", "Answers to requests that use codes or change uses, and holds that this process expired, by outcome",
        by!("outcome": "created", "repeated", "refused", "different_request", "released", "confirmed", "rolled_back",
            "expired", "wrong_state", "unknown", "busy", "failed");
    pub REDEMPTION_REFUSALS: Counter =
        "codemint_redemption_refusals_total", "Reasons of refused requests and invalid validations; a refusal may have several",
        by!("reason": "code-not-found", "campaign-not-active", "not-started", "expired", "limit-reached",
            "campaign-limit-reached", "identity-limit-reached", "budget-exhausted", "identity-required", "wrong-identity",
            "segment-not-met", "use-case-not-met", "source-not-met", "ad-not-met", "affiliate-not-met", "condition-not-met",
            "preset-not-found", "currency-mismatch", "nothing-to-discount", "exclusive", "self-referral",
            "too-many-attempts");
    pub(crate) REDEMPTION_BATCH_SIZE: BatchSize =
        "codemint_redemption_batch_size", "Requests that one transaction decided", &[];
    pub(crate) REDEMPTION_WAIT: ChunkSeconds =
        "codemint_redemption_wait_seconds", "Time from a request to the beginning of its transaction", &[];
    pub(crate) REDEMPTION_TRANSACTION: ChunkSeconds =
        "codemint_redemption_transaction_seconds", "Time of a transaction that decided requests", &[];
    pub REDEMPTION_CONFLICTS: Counter =
        "codemint_redemption_conflicts_total", "Batches that were tried again because another process or a lost connection was in the way",
        &[];
    pub(crate) REDEMPTIONS_WAITING: Gauge =
        "codemint_redemptions_waiting", "Requests of this process that wait for a transaction", &[];
    pub REDEMPTION_HOLDS: Gauge =
        "codemint_redemption_holds", "Open holds of the store, counted up to a bound; the same for all workers", &[];
    pub REDEMPTION_HOLDS_OVERDUE: Gauge =
        "codemint_redemption_holds_overdue", "Holds of the store whose deadline was more than a minute ago, counted up to a bound; the same for all workers",
        &[];
    pub VALIDATIONS: Counter =
        "codemint_validations_total", "Answers to requests that only ask whether a code may be used, by outcome",
        by!("outcome": "valid", "invalid", "failed");
    pub TRIGGERS: Counter =
        "codemint_triggers_total", "Triggers that this process handled, by outcome",
        by!("outcome": "new", "repeated", "different_request", "dead_lettered");
    pub TRIGGER_RESULTS: Counter =
        "codemint_trigger_results_total", "What campaigns did about triggers in this process, by result; one that waited has two",
        by!("result": "issued", "skipped", "waiting");
    pub REFERRERS: Counter =
        "codemint_referrers_total", "Requests to give a person a code to pass on that this process answered, by outcome",
        by!("outcome": "new", "repeated", "different_request", "refused", "failed");
    pub REFERRALS: Counter =
        "codemint_referrals_total", "Referrals that this process changed, by their new state",
        by!("state": "pending", "rewarded", "void");
    pub AFFILIATE_RESOLVES: Counter =
        "codemint_affiliate_resolves_total", "References of affiliates that this process resolved, by outcome",
        by!("outcome": "resolved", "no_rule", "not_active", "excluded", "failed");
    pub AFFILIATE_REFRESHES: Counter =
        "codemint_affiliate_refreshes_total", "Looks of this process for changes of the rules for affiliates, by outcome",
        by!("outcome": "unchanged", "read", "failed");
    pub AFFILIATE_RULES: Gauge =
        "codemint_affiliate_rules", "Rules for affiliates that this process has in memory", &[];
    pub AFFILIATE_EXCLUSIONS: Gauge =
        "codemint_affiliate_exclusions", "Exclusions from rules for affiliates that this process has in memory", &[];
    pub HTTP_REQUESTS: Counter =
        "codemint_http_requests_total", "Requests that the HTTP API answered, by the class of the status",
        by!("status": "2xx", "3xx", "4xx", "5xx");
    pub(crate) HTTP_REQUEST: ChunkSeconds =
        "codemint_http_request_seconds", "Time from the headers of a request to the headers of its answer", &[];
    pub HTTP_THROTTLED: Counter =
        "codemint_http_throttled_total", "Requests that the HTTP API answered with status 429, by the code of the problem",
        by!("code": "too-many-requests", "too-many-attempts");
    pub CLICKS: Counter =
        "codemint_clicks_total", "Clicks on links: stored, not counted because their address clicks too often (throttled), or lost because too many waited (dropped) or the store refused them (failed)",
        by!("outcome": "counted", "throttled", "dropped", "failed");
    pub SIGN_INS: Counter =
        "codemint_sign_ins_total", "Sign-ins to the console: accepted, refused, or not checked because too many were at the same time (busy)",
        by!("outcome": "accepted", "refused", "busy");
    pub HTTP_CONNECTIONS: Gauge = "codemint_http_connections", "Open connections to the HTTP API", &[];
    pub HTTP_CONNECTIONS_MAX: Gauge =
        "codemint_http_connections_max", "Maximum number of open connections to the HTTP API", NONE;
}

/// The series of a gauge for which 0 would be wrong: none is exposed at the start.
const NONE: &[Labels] = &[&[("", "")]];

impl Metric {
    pub const fn buckets(&self) -> &'static [f64] {
        match self.kind {
            Kind::Counter | Kind::Gauge => &[],
            Kind::ChunkSeconds => CHUNK_SECONDS,
            Kind::JobSeconds => JOB_SECONDS,
            Kind::BatchSize => BATCH_SIZES,
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
            Kind::BatchSize => describe_histogram!(self.name, Unit::Count, self.help),
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
                Kind::ChunkSeconds | Kind::JobSeconds | Kind::BatchSize => {}
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
        for metric in METRICS {
            assert!(metric.name.starts_with("codemint_"), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            let is_in_seconds = matches!(metric.kind, Kind::ChunkSeconds | Kind::JobSeconds);
            assert!(!is_in_seconds || metric.name.ends_with("_seconds"), "{}", metric.name);
            let is_histogram = is_in_seconds || metric.kind == Kind::BatchSize;
            assert_eq!(is_histogram, !metric.buckets().is_empty(), "{}", metric.name);
        }
    }

    #[test]
    fn all_series_of_a_metric_have_the_same_labels() {
        for metric in METRICS {
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
