//! Interrupts: the first one requests a stop between chunks, the second one ends the process immediately.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::support::failure::Failure;

const SIGHUP: u8 = 1;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// A stop request, made by the first SIGINT, SIGTERM or SIGHUP.
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
        // Under `nohup` the signal is ignored, and must stay so.
        let hangup = (!ignores_hangup()).then(|| listen(SignalKind::hangup())).transpose()?;
        let stop = Self { token: CancellationToken::new(), signal: Arc::new(AtomicU8::new(0)) };
        tokio::spawn(stop.clone().watch(interrupt, terminate, hangup));
        Ok(stop)
    }

    async fn watch(self, mut interrupt: Signal, mut terminate: Signal, mut hangup: Option<Signal>) {
        loop {
            let received = tokio::select! {
                _ = interrupt.recv() => SIGINT,
                _ = terminate.recv() => SIGTERM,
                () = received(&mut hangup) => SIGHUP,
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

/// Waits for the signal; forever if it is ignored.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns true if this process was started with SIGHUP ignored, or if that is unknown.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}
