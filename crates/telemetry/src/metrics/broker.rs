//! The broker as a worker meets it.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::metrics::names;

/// How it stands with the session.
pub fn broker_seen(connected: bool, blocked: bool) {
    gauge!(names::BROKER_CONNECTED).set(if connected { 1.0 } else { 0.0 });
    gauge!(names::BROKER_BLOCKED).set(if blocked { 1.0 } else { 0.0 });
}

pub fn broker_reconnected() {
    counter!(names::BROKER_RECONNECTS).increment(1);
}

/// What became of messages: `acknowledged`, `dead_lettered` or `returned`.
pub fn messages_settled(result: &'static str, messages: usize) {
    counter!(names::BROKER_MESSAGES, "result" => result).increment(messages as u64);
}

/// What became of an event: `confirmed`, `refused` or `given_up`.
pub fn event_published(result: &'static str) {
    counter!(names::EVENTS_PUBLISHED, "result" => result).increment(1);
}

/// How long the broker took to confirm a batch.
pub fn batch_confirmed(time: Duration) {
    histogram!(names::BROKER_CONFIRM).record(time);
}

/// What waits in a queue, `jobs` or `dead`.
pub fn queue_seen(queue: &'static str, messages: u32) {
    gauge!(names::QUEUE_MESSAGES, "queue" => queue).set(f64::from(messages));
}

/// How many consumers the queue of jobs has.
pub fn consumers_seen(consumers: u32) {
    gauge!(names::QUEUE_CONSUMERS, "queue" => "jobs").set(f64::from(consumers));
}
