//! Metrics of sign-ins to the console.

use metrics::counter;

use crate::metrics::names;

/// Counts a sign-in by its outcome: `accepted`, `refused` or `busy`.
pub fn signed_in(outcome: &'static str) {
    counter!(names::SIGN_INS, "outcome" => outcome).increment(1);
}
