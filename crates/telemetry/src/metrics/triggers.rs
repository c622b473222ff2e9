//! Metrics of triggers.

use metrics::counter;

use crate::metrics::names;

/// Counts a trigger by outcome: `new`, `repeated`, `different_request` or `dead_lettered`.
pub fn handled(outcome: &'static str) {
    counter!(names::TRIGGERS, "outcome" => outcome).increment(1);
}

/// Counts what campaigns did about triggers: `issued`, `skipped` or `waiting`.
pub fn results(result: &'static str, results: u64) {
    counter!(names::TRIGGER_RESULTS, "result" => result).increment(results);
}
