//! Metrics of the broker, as a worker sees it.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::metrics::names;

/// Records the state of the session.
pub fn broker_seen(connected: bool, blocked: bool) {
    gauge!(names::BROKER_CONNECTED).set(if connected { 1.0 } else { 0.0 });
    gauge!(names::BROKER_BLOCKED).set(if blocked { 1.0 } else { 0.0 });
}

pub fn broker_reconnected() {
    counter!(names::BROKER_RECONNECTS).increment(1);
}

/// Counts messages by result: `acknowledged`, `dead_lettered` or `returned`.
pub fn messages_settled(result: &'static str, messages: usize) {
    counter!(names::BROKER_MESSAGES, "result" => result).increment(messages as u64);
}

/// Counts an event by result: `confirmed`, `refused` or `given_up`.
pub fn event_published(result: &'static str) {
    counter!(names::EVENTS_PUBLISHED, "result" => result).increment(1);
}

/// Records how long the broker took to confirm a batch.
pub fn batch_confirmed(time: Duration) {
    histogram!(names::BROKER_CONFIRM).record(time);
}

/// Records the number of messages that wait in a queue, `jobs`, `triggers` or `dead`.
pub fn queue_seen(queue: &'static str, messages: u32) {
    gauge!(names::QUEUE_MESSAGES, "queue" => queue).set(f64::from(messages));
}

/// Records the number of consumers of a queue, `jobs` or `triggers`.
pub fn consumers_seen(queue: &'static str, consumers: u32) {
    gauge!(names::QUEUE_CONSUMERS, "queue" => queue).set(f64::from(consumers));
}
