//! Metrics of the store, as a worker sees it.

use metrics::{counter, gauge};

use crate::metrics::names;

/// Records whether the store answered when it was last polled.
pub fn store_answered(answered: bool) {
    gauge!(names::STORE_UP).set(if answered { 1.0 } else { 0.0 });
}

/// Records the connections of the store's pool.
pub fn pool_seen(idle: usize, used: usize, max: usize) {
    gauge!(names::POOL_CONNECTIONS, "state" => "idle").set(idle as f64);
    gauge!(names::POOL_CONNECTIONS, "state" => "used").set(used as f64);
    gauge!(names::POOL_CONNECTIONS_MAX).set(max as f64);
}

/// Counts an error by class: `away`, `conflict`, `unclear`, `no_space` or `permanent`.
pub fn store_error_met(class: &'static str) {
    counter!(names::STORE_ERRORS, "class" => class).increment(1);
}

pub fn statement_given_up() {
    counter!(names::STATEMENTS_GIVEN_UP).increment(1);
}

/// Records the number of events that wait to be published.
pub fn outbox_seen(events: u64) {
    gauge!(names::OUTBOX_EVENTS).set(events as f64);
}
