//! When a refusal that must not help to guess codes is answered.

use std::time::Duration;

use tokio::time::Instant;

use codemint_offers::verdict::reason::{Reason, ReasonCode};

/// The answer comes after a whole multiple of this time: longer than a look-up takes, so that the time tells as little as the
/// answer.
const STEP: Duration = Duration::from_millis(100);

/// Waits until a refusal for these reasons may be answered. Callers that are told the true reasons do not wait.
pub(crate) async fn wait(reasons: &[Reason], explains: bool, asked_at: Instant) {
    if !explains && reasons.iter().any(|reason| reason.code == ReasonCode::CodeNotFound) {
        tokio::time::sleep_until(asked_at + due(asked_at.elapsed())).await;
    }
}

/// Returns how long after the request the answer is due, if it is ready after this time.
fn due(ready: Duration) -> Duration {
    let steps = ready.as_nanos().div_ceil(STEP.as_nanos()).max(1);
    STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_ready_at_different_times_are_due_at_the_same() {
        let due = |micros| due(Duration::from_micros(micros)).as_millis();
        assert_eq!([0, 1, 700, 42_000, 100_000].map(due), [100; 5]);
        assert_eq!([100_001, 150_000, 200_000].map(due), [200; 3]);
        assert_eq!(due(u64::MAX), 100 * u128::from(u32::MAX));
    }
}
