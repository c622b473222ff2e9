//! A comparison of two samples of times.

use std::time::Duration;

/// The number of standard deviations by which Mann and Whitney's sum of ranks of two samples differs from that of samples of one
/// distribution. <https://en.wikipedia.org/wiki/Mann%E2%80%93Whitney_U_test>
pub fn rank_difference(first: &[Duration], second: &[Duration]) -> f64 {
    let mut all: Vec<(Duration, bool)> = first.iter().map(|time| (*time, true)).collect();
    all.extend(second.iter().map(|time| (*time, false)));
    all.sort_unstable();
    let (n, m) = (first.len() as f64, second.len() as f64);
    let ranks = (1..).zip(&all).filter(|(_, (_, is_first))| *is_first);
    let u = ranks.map(|(rank, _)| f64::from(rank)).sum::<f64>() - n * (n + 1.0) / 2.0;
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}
