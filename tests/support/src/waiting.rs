//! Waiting for a condition, with a deadline.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// The time limit of every wait: longer than anything takes on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until the condition holds. Panics when [`DEADLINE`] has passed.
pub async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    wait_until_equal(what, &true, is_so).await;
}

/// Waits until a value is as expected. Panics with the last value when [`DEADLINE`] has passed.
pub async fn wait_until_equal<T: Debug + PartialEq>(what: &str, expected: &T, value: impl AsyncFn() -> T) {
    let started = Instant::now();
    loop {
        let seen = value().await;
        if seen == *expected {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "timed out waiting: {what}: {seen:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
