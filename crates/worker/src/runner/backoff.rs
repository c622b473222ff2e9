//! Backoff while a store is away, busy or full.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use codemint_store::connection::error::{ErrorClass, StoreError};
use codemint_telemetry::metrics::store::store_error_met;

/// Minimum interval between two log lines about the same kind of error.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Exponential backoff while a store is away, busy or full, without a limit on retries.
#[derive(Debug)]
pub struct Backoff<'a> {
    stop: &'a CancellationToken,
    delays: ExponentialBackoff,
    /// The time of the first error after a success.
    waiting_since: Option<Instant>,
}

impl<'a> Backoff<'a> {
    pub fn new(stop: &'a CancellationToken) -> Self {
        Self { stop, delays: delays(), waiting_since: None }
    }

    /// Resets the backoff; called after a success.
    pub fn reset(&mut self) {
        if self.waiting_since.take().is_some() {
            self.delays = delays();
            if !std::mem::replace(&mut logged().is_over, true) {
                tracing::info!("the store answers again");
            }
        }
    }

    /// Logs the error and waits; a stop ends the wait early.
    pub async fn wait_after(&mut self, error: &StoreError) {
        let delay = self.delays.next().unwrap_or_default();
        self.waiting_since.get_or_insert_with(Instant::now);
        store_error_met(error.class().into_str());
        log_error(error, delay.as_millis() as u64);
        self.wait(delay).await;
    }

    /// Returns how long the store has been waited for; zero before the first error.
    pub fn waited(&self) -> Duration {
        self.waiting_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    pub async fn wait(&self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// When this process last logged each kind of error, and whether the outage is over. Many tasks wait for the same store
/// at the same time, and only one of them logs it.
static LOGGED: Mutex<Logged> = Mutex::new(Logged { at: [None; 5], is_over: true });

struct Logged {
    at: [Option<Instant>; 5],
    is_over: bool,
}

/// Logs an error the first time, and again after each [`LOG_INTERVAL`].
fn log_error(error: &StoreError, delay_ms: u64) {
    let class = error.class();
    let mut logged = logged();
    let logged_at = &mut logged.at[class as usize];
    if logged_at.is_some_and(|logged_at| logged_at.elapsed() < LOG_INTERVAL) {
        return;
    }
    *logged_at = Some(Instant::now());
    logged.is_over = logged.is_over && matches!(class, ErrorClass::Conflict | ErrorClass::Unclear);
    match class {
        ErrorClass::Conflict => tracing::info!(%error, delay_ms, "another writer was in the way; retrying"),
        ErrorClass::Unclear => tracing::info!(%error, delay_ms, "the store failed without naming a cause; retrying"),
        ErrorClass::NoSpace => {
            tracing::warn!(%error, delay_ms, "the store is out of disk space or memory; waiting until there is space")
        }
        ErrorClass::Away => {
            tracing::warn!(%error, delay_ms, "the store is away; waiting until it answers, nothing is lost")
        }
        ErrorClass::Permanent => tracing::error!(
            %error,
            delay_ms,
            "the store keeps rejecting requests (permanent error); check permissions and schema; retrying"
        ),
    }
}

/// Locks the state, which is consistent after each use, even if another thread panicked.
fn logged() -> MutexGuard<'static, Logged> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns exponentially growing delays, without an end.
pub fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(3))
        .with_jitter()
        .without_max_times()
        .build()
}
