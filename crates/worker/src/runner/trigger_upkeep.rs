//! Decides the triggers that have waited until they were due, until a stop is requested.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::runner::backoff::Backoff;
use codemint_campaigns::triggering::TriggerHandler;

/// The pause after a look that found less than it can do at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Decides again and again until `stop` is cancelled. `outbox_wake` is notified of new events.
pub async fn decide_triggers(handler: &TriggerHandler, outbox_wake: &Notify, stop: &CancellationToken) {
    let mut backoff = Backoff::new(stop);
    while !stop.is_cancelled() {
        // A panic, which its hook has reported, must not end the decisions of this process.
        match AssertUnwindSafe(handler.decide_due()).catch_unwind().await {
            Ok(Ok(decided)) => {
                backoff.reset();
                if decided.issued + decided.skipped > 0 {
                    tracing::debug!(
                        issued = decided.issued,
                        skipped = decided.skipped,
                        "triggers that were due are decided"
                    );
                    outbox_wake.notify_one();
                }
                if decided.waiting > 0 {
                    tracing::debug!(triggers = decided.waiting, "triggers that are due wait for codes in their pools");
                }
                if !decided.is_full() {
                    backoff.wait(PAUSE).await;
                }
            }
            Ok(Err(error)) => backoff.wait_after(&error).await,
            Err(_panic) => backoff.wait(PAUSE).await,
        }
    }
}
