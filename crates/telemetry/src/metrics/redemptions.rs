//! Metrics of redemptions: what was asked for, the answers, and the transactions that decide.

use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};

use crate::metrics::names;

/// Counts answers by outcome: `created`, `repeated`, `refused`, `different_request`, `released`, `confirmed`, `rolled_back`,
/// `expired`, `wrong_state`, `unknown`, `busy` or `failed`.
pub fn answered(outcome: &'static str, answers: u64) {
    counter!(names::REDEMPTIONS, "outcome" => outcome).increment(answers);
}

/// Counts a reason of a refusal, by its stable code. A refusal may have several.
pub fn refused_because(reason: &'static str) {
    counter!(names::REDEMPTION_REFUSALS, "reason" => reason).increment(1);
}

/// Counts the answer to a request that only asks: `valid`, `invalid` or `failed`.
pub fn validated(outcome: &'static str) {
    counter!(names::VALIDATIONS, "outcome" => outcome).increment(1);
}

/// Records the number of requests that wait for a transaction.
pub fn waiting(requests: usize) {
    gauge!(names::REDEMPTIONS_WAITING).set(requests as f64);
}

/// Records how long a request waited for the beginning of its transaction.
pub fn began_after(wait: Duration) {
    histogram!(names::REDEMPTION_WAIT).record(wait);
}

/// Counts a batch that is tried again because another process, or a lost connection, was in its way.
pub fn batch_tried_again() {
    counter!(names::REDEMPTION_CONFLICTS).increment(1);
}

/// Records the open holds of the store, and those that are overdue.
pub fn holds_seen(open: u64, overdue: u64) {
    gauge!(names::REDEMPTION_HOLDS).set(open as f64);
    gauge!(names::REDEMPTION_HOLDS_OVERDUE).set(overdue as f64);
}

/// Measures a transaction that decides requests, for as long as this value lives.
#[derive(Debug)]
pub struct TransactionTimed {
    begun: Instant,
}

impl TransactionTimed {
    /// `requests` is the number of requests that the transaction decides.
    pub fn begin(requests: usize) -> Self {
        histogram!(names::REDEMPTION_BATCH_SIZE).record(requests as f64);
        Self { begun: Instant::now() }
    }
}

impl Drop for TransactionTimed {
    fn drop(&mut self) {
        histogram!(names::REDEMPTION_TRANSACTION).record(self.begun.elapsed());
    }
}
