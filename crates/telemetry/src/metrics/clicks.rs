//! Metrics of clicks on links.

use metrics::counter;

use crate::metrics::names;

/// Counts clicks by what became of them: `counted`, `throttled`, `dropped` or `failed`.
pub fn clicked(outcome: &'static str, clicks: u64) {
    counter!(names::CLICKS, "outcome" => outcome).increment(clicks);
}
