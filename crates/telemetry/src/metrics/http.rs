//! Metrics of the HTTP API.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::metrics::names;

/// Counts a request by the class of its status, and records how long its answer took.
pub fn answered(status: u16, time: Duration) {
    let class = match status {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    counter!(names::HTTP_REQUESTS, "status" => class).increment(1);
    histogram!(names::HTTP_REQUEST).record(time);
}

/// Counts a request that was refused for being one too many, by the code of the problem.
pub fn throttled(code: &'static str) {
    counter!(names::HTTP_THROTTLED, "code" => code).increment(1);
}

/// Records how many connections may be open at once.
pub fn connections_allowed(connections: usize) {
    gauge!(names::HTTP_CONNECTIONS_MAX).set(connections as f64);
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(());

impl OpenConnection {
    pub fn count() -> Self {
        gauge!(names::HTTP_CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!(names::HTTP_CONNECTIONS).decrement(1.0);
    }
}
