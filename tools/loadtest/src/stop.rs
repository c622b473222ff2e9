//! Interrupts: the first one ends the load test and has its data removed, the second one ends the process immediately.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use codemint_store::connection::error::StoreError;
use codemint_worker::runner::backoff::Backoff;

use crate::failure::Failure;

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// A stop request, made by the first SIGINT or SIGTERM.
#[derive(Clone, Debug)]
pub struct Stop {
    token: CancellationToken,
    /// The number of the signal; 0 before one is received.
    signal: Arc<AtomicU8>,
}

impl Stop {
    pub fn on_signals() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::other(format!("failed to listen for signals: {error}")));
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let stop = Self { token: CancellationToken::new(), signal: Arc::new(AtomicU8::new(0)) };
        tokio::spawn(stop.clone().watch(interrupt, terminate));
        Ok(stop)
    }

    async fn watch(self, mut interrupt: Signal, mut terminate: Signal) {
        loop {
            let received = tokio::select! {
                _ = interrupt.recv() => SIGINT,
                _ = terminate.recv() => SIGTERM,
            };
            if self.token.is_cancelled() {
                exit(i32::from(128 + received));
            }
            self.signal.store(received, Ordering::Relaxed);
            self.token.cancel();
        }
    }

    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Checks for a stop request.
    ///
    /// # Errors
    /// `interrupted` if a stop was requested.
    pub fn check(&self) -> Result<(), Failure> {
        if self.token.is_cancelled() {
            return Err(Failure::interrupted(self.signal.load(Ordering::Relaxed)));
        }
        Ok(())
    }

    /// Sends a request to the store and retries it while the store is unreachable, until a stop is requested.
    ///
    /// # Errors
    /// `interrupted`, and errors that a retry does not fix.
    pub async fn patiently<T>(&self, ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, Failure> {
        let mut backoff = Backoff::new(&self.token);
        loop {
            self.check()?;
            match ask().await {
                Err(error) if error.is_retryable() => backoff.wait_after(&error).await,
                result => return Ok(result?),
            }
        }
    }
}
