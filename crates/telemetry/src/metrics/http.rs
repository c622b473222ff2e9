//! Metrics of the HTTP API.

use std::time::Duration;

use metrics::{counter, histogram};

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
