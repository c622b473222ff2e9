//! Metrics of affiliates: what references become, and the rules that a process has in memory.

use metrics::{counter, gauge};

use crate::metrics::names;

/// Counts a reference by what became of it: `resolved`, `no_rule`, `not_active`, `excluded` or `failed`.
pub fn resolved(outcome: &'static str) {
    counter!(names::AFFILIATE_RESOLVES, "outcome" => outcome).increment(1);
}

/// Counts a look for changes of the rules: `unchanged`, `read` or `failed`.
pub fn refreshed(outcome: &'static str) {
    counter!(names::AFFILIATE_REFRESHES, "outcome" => outcome).increment(1);
}

/// Records how many rules and exclusions are in memory.
pub fn kept(rules: usize, exclusions: usize) {
    gauge!(names::AFFILIATE_RULES).set(rules as f64);
    gauge!(names::AFFILIATE_EXCLUSIONS).set(exclusions as f64);
}
