//! Metrics of referrals.

use metrics::counter;

use crate::metrics::names;

/// Counts a request to give a person a code to pass on: `new`, `repeated`, `different_request`, `refused` or `failed`.
pub fn named(outcome: &'static str) {
    counter!(names::REFERRERS, "outcome" => outcome).increment(1);
}

/// Counts referrals that have reached a state: `pending`, `rewarded` or `void`.
pub fn changed(state: &'static str, referrals: u64) {
    counter!(names::REFERRALS, "state" => state).increment(referrals);
}
