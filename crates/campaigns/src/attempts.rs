//! Further attempts after errors that pass.

use std::time::Duration;

use codemint_store::connection::error::StoreError;
use codemint_telemetry::metrics::redemptions::batch_tried_again;

/// How often a batch is tried that another process, or a lost connection, was in the way of.
const ATTEMPTS_MAX: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// How often a batch may still be tried that another process, or a lost connection, was in the way of. Whether the last attempt
/// was committed, the next one finds out.
pub(crate) struct Attempts {
    left: u32,
    pause: Duration,
}

impl Attempts {
    pub(crate) const fn new() -> Self {
        Self { left: ATTEMPTS_MAX - 1, pause: FIRST_PAUSE }
    }

    /// Returns true after a pause if it is worth another attempt.
    pub(crate) async fn again(&mut self, error: &StoreError) -> bool {
        if self.left == 0 || !error.is_retryable() {
            return false;
        }
        tracing::debug!(%error, "a batch is tried again");
        batch_tried_again();
        tokio::time::sleep(self.pause).await;
        self.left -= 1;
        self.pause *= 2;
        true
    }
}
