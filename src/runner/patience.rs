//! Waiting for a store that is away, busy or full.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::error::{ErrorClass, StoreError};
use crate::telemetry::metrics::store::store_error_met;

/// Between two lines about the same trouble.
const SAY_INTERVAL: Duration = Duration::from_secs(30);

/// Waiting for a store that is away, busy or full: longer and longer, for as long as it takes.
#[derive(Debug)]
pub struct Patience<'a> {
    stop: &'a CancellationToken,
    delays: ExponentialBackoff,
    said_at: Option<Instant>,
}

impl<'a> Patience<'a> {
    pub fn new(stop: &'a CancellationToken) -> Self {
        Self { stop, delays: delays(), said_at: None }
    }

    /// True for errors that pass; trying again after any other would end the same.
    pub fn endures(&self, error: &StoreError) -> bool {
        error.class() != ErrorClass::Permanent
    }

    /// To be called after a success: the next wait is short again.
    pub fn restore(&mut self) {
        self.delays = delays();
        self.said_at = None;
    }

    /// Says what is waited for, and waits; a stop ends it early.
    pub async fn wait_after(&mut self, error: &StoreError) {
        let delay = self.delays.next().unwrap_or_default();
        store_error_met(error.class().as_str());
        self.say(error, delay.as_millis() as u64);
        self.wait(delay).await;
    }

    /// The first time, and then now and then.
    fn say(&mut self, error: &StoreError, delay_ms: u64) {
        if self.said_at.is_some_and(|said_at| said_at.elapsed() < SAY_INTERVAL) {
            return;
        }
        self.said_at = Some(Instant::now());
        match error.class() {
            ErrorClass::Conflict => tracing::info!(%error, delay_ms, "another writer was in the way; trying again"),
            ErrorClass::NoSpace => {
                tracing::warn!(%error, delay_ms, "the store has no room on its disk or in its memory; waiting")
            }
            _ => tracing::warn!(%error, delay_ms, "the store is away; waiting"),
        }
    }

    pub async fn wait(&self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Longer and longer, for as long as it takes.
pub fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(3))
        .with_jitter()
        .without_max_times()
        .build()
}
