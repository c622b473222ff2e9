//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// The time limit of every wait: longer than anything takes on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until the condition holds. Panics when [`DEADLINE`] has passed.
pub async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < DEADLINE, "timed out waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
