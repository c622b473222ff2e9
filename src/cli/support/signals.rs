//! Interrupts: the first one requests a stop between chunks, the second one ends the process immediately.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::support::failure::Failure;

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

    /// Returns the failure `interrupted` if a stop was requested.
    pub fn check(&self, message: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.token.is_cancelled() {
            return Err(self.interrupted(&message()));
        }
        Ok(())
    }

    /// Returns the failure of an interrupted command; called after the token was cancelled.
    pub fn interrupted(&self, message: &str) -> Failure {
        Failure::interrupted(self.signal.load(Ordering::Relaxed), message)
    }
}
