//! The store as a worker meets it.

use metrics::{counter, gauge};

use crate::metrics::names;

/// Whether it answered when it was last asked.
pub fn store_answered(answered: bool) {
    gauge!(names::STORE_UP).set(if answered { 1.0 } else { 0.0 });
}

/// Connections of its pool.
pub fn pool_seen(idle: usize, used: usize, max: usize) {
    gauge!(names::POOL_CONNECTIONS, "state" => "idle").set(idle as f64);
    gauge!(names::POOL_CONNECTIONS, "state" => "used").set(used as f64);
    gauge!(names::POOL_CONNECTIONS_MAX).set(max as f64);
}

/// An error: `away`, `conflict`, `no_space` or `permanent`.
pub fn store_error_met(class: &'static str) {
    counter!(names::STORE_ERRORS, "class" => class).increment(1);
}

pub fn statement_given_up() {
    counter!(names::STATEMENTS_GIVEN_UP).increment(1);
}

/// Events that wait to be published.
pub fn outbox_seen(events: u64) {
    gauge!(names::OUTBOX_EVENTS).set(events as f64);
}
