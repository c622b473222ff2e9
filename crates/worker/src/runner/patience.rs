//! Waiting for a store that is away, busy or full.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use codemint_store::error::{ErrorClass, StoreError};
use codemint_telemetry::metrics::store::store_error_met;

/// Between two lines about the same trouble.
const SAY_INTERVAL: Duration = Duration::from_secs(30);

/// When each kind of trouble was last told of by this process, and whether it is over. Many wait at the same time for the
/// same store, and one of them tells it.
static TOLD: Mutex<Told> = Mutex::new(Told { at: [None; 4], is_over: true });

struct Told {
    at: [Option<Instant>; 4],
    is_over: bool,
}

/// Waiting for a store that is away, busy or full: longer and longer, for as long as it takes.
#[derive(Debug)]
pub struct Patience<'a> {
    stop: &'a CancellationToken,
    delays: ExponentialBackoff,
    has_waited: bool,
}

impl<'a> Patience<'a> {
    pub fn new(stop: &'a CancellationToken) -> Self {
        Self { stop, delays: delays(), has_waited: false }
    }

    /// True for errors that pass; trying again after any other would end the same.
    pub fn endures(&self, error: &StoreError) -> bool {
        error.class() != ErrorClass::Permanent
    }

    /// To be called after a success: the next wait is short again.
    pub fn restore(&mut self) {
        if std::mem::take(&mut self.has_waited) {
            self.delays = delays();
            if !std::mem::replace(&mut told().is_over, true) {
                tracing::info!("the store answers again");
            }
        }
    }

    /// Says what is waited for, and waits; a stop ends it early.
    pub async fn wait_after(&mut self, error: &StoreError) {
        let delay = self.delays.next().unwrap_or_default();
        self.has_waited = true;
        store_error_met(error.class().as_str());
        say(error, delay.as_millis() as u64);
        self.wait(delay).await;
    }

    pub async fn wait(&self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// The first time, and then now and then.
fn say(error: &StoreError, delay_ms: u64) {
    let kind = match error.class() {
        ErrorClass::Conflict => 0,
        ErrorClass::NoSpace => 1,
        ErrorClass::Away => 2,
        ErrorClass::Permanent => 3,
    };
    let mut told = told();
    if told.at[kind].is_some_and(|told_at| told_at.elapsed() < SAY_INTERVAL) {
        return;
    }
    told.at[kind] = Some(Instant::now());
    told.is_over = told.is_over && kind == 0;
    match kind {
        0 => tracing::info!(%error, delay_ms, "another writer was in the way; trying again"),
        1 => {
            tracing::warn!(%error, delay_ms, "the store has no room on its disk or in its memory; waiting until there is")
        }
        3 => tracing::error!(
            %error,
            delay_ms,
            "the store refuses for a reason that waiting does not mend: look at its rights and its schema; trying again"
        ),
        _ => tracing::warn!(%error, delay_ms, "the store is away; waiting until it answers, nothing is lost"),
    }
}

/// What it holds is whole after each use, also if another thread panicked.
fn told() -> MutexGuard<'static, Told> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
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
