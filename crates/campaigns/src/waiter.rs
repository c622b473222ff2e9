//! A caller that waits for its answer.

use std::time::Instant;

use tokio::sync::oneshot;

use codemint_telemetry::metrics::redemptions as metrics;

/// Where an answer goes, and since when it is waited for.
pub(crate) struct Waiter<T> {
    answer: oneshot::Sender<T>,
    /// `None` once its transaction has begun.
    asked_at: Option<Instant>,
}

impl<T> Waiter<T> {
    /// Returns a waiter that has asked now, and where its answer arrives.
    pub(crate) fn new() -> (Self, oneshot::Receiver<T>) {
        let (answer, answered) = oneshot::channel();
        (Self { answer, asked_at: Some(Instant::now()) }, answered)
    }

    /// Returns true if the caller has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.answer.is_closed()
    }

    /// Records the wait until its transaction, the first time.
    pub(crate) fn begins(&mut self) {
        if let Some(asked_at) = self.asked_at.take() {
            metrics::began_after(asked_at.elapsed());
        }
    }

    /// # Errors
    /// The answer, if the caller has gone away.
    pub(crate) fn send(self, answer: T) -> Result<(), T> {
        self.answer.send(answer)
    }
}
