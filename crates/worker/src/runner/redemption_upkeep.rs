//! Looks after the redemptions of the store until a stop is requested: holds expire although nobody meets them, sums are added up.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::runner::backoff::Backoff;
use codemint_campaigns::keeping::RedemptionKeeper;

/// The pause after a look that found less than it can do at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks again and again until `stop` is cancelled. `outbox_wake` is notified of new events.
pub async fn keep_redemptions(keeper: &RedemptionKeeper, outbox_wake: &Notify, stop: &CancellationToken) {
    let mut backoff = Backoff::new(stop);
    while !stop.is_cancelled() {
        match keeper.look().await {
            Ok(kept) => {
                backoff.reset();
                if kept.expired > 0 {
                    tracing::debug!(expired = kept.expired, "holds have expired");
                    outbox_wake.notify_one();
                }
                if !kept.is_full() {
                    backoff.wait(PAUSE).await;
                }
            }
            Err(error) => backoff.wait_after(&error).await,
        }
    }
}
