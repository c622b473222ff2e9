//! Percentiles of many durations.

use std::time::Duration;

/// Percentiles by nearest rank: each is one of the measured times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub count: usize,
    pub p50: Duration,
    pub p90: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Spread {
    /// Computes the percentiles of times in any order; without any times all are zero.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let count = times.len();
        // The lowest rank that covers this share of all times.
        let at =
            |percent: usize| times.get((count * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
        Self { count, p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}
