//! How many codes a second jobs mint, from earlier looks at them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use codemint_codes::job::record::Job;

/// Maximum age of an earlier look from which the current rate of a job is computed.
const SPAN_MAX: Duration = Duration::from_secs(60);
/// Time between two looks that are kept: two close ones would give no useful rate, as chunks are committed as a whole.
const SPAN_MIN: Duration = Duration::from_secs(10);
/// Number of jobs above which those that nobody looks at any more are forgotten.
const KEPT_MAX: usize = 1_000;

/// Earlier looks at jobs, by job number. They are kept in memory and shared by all pages of the process.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<i64, Looks>>);

/// A job as it was seen at two times.
#[derive(Clone, Copy, Debug)]
struct Looks {
    earlier: (Instant, u64),
    later: (Instant, u64),
}

impl Paces {
    /// Returns the codes per second since an earlier look or, without one, since the job began. `None` while unknown.
    pub fn rate(&self, job: &Job) -> Option<f64> {
        let look = (Instant::now(), job.minted);
        let since_start =
            job.started_at.and_then(|at| (Utc::now() - at).to_std().ok()).map(|since| (since, job.minted));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, looks| look.0 - looks.later.0 <= SPAN_MAX);
        }
        let looks = kept.get(&job.no).and_then(|looks| looks.followed_by(look));
        if kept.len() < KEPT_MAX || looks.is_some() {
            kept.insert(job.no, looks.unwrap_or(Looks { earlier: look, later: look }));
        }
        drop(kept);
        let (span, minted) = looks.map(|looks| looks.span_to(look)).or(since_start)?;
        let rate = minted as f64 / span.as_secs_f64();
        Some(rate).filter(|rate| rate.is_finite() && *rate > 0.0)
    }
}

impl Looks {
    /// Returns the looks to keep after another one; `None` if the last one was too long ago.
    fn followed_by(self, look: (Instant, u64)) -> Option<Self> {
        let age = look.0 - self.later.0;
        (age <= SPAN_MAX).then_some(if age < SPAN_MIN { self } else { Self { earlier: self.later, later: look } })
    }

    /// Returns the time since the earlier look, and the codes minted since then.
    fn span_to(self, look: (Instant, u64)) -> (Duration, u64) {
        (look.0 - self.earlier.0, look.1.saturating_sub(self.earlier.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_taken_over_the_last_look_that_is_not_too_close() {
        let start = Instant::now();
        let at = |seconds, minted| (start + Duration::from_secs(seconds), minted);
        let first = Looks { earlier: at(0, 0), later: at(0, 0) };
        let close = first.followed_by(at(2, 20)).expect("recent");
        assert_eq!(close.span_to(at(2, 20)), (Duration::from_secs(2), 20));
        let next = close.followed_by(at(12, 500)).expect("recent");
        assert_eq!(next.span_to(at(12, 500)), (Duration::from_secs(12), 500));
        let last = next.followed_by(at(24, 740)).expect("recent");
        assert_eq!(last.span_to(at(24, 740)), (Duration::from_secs(12), 240), "not since the first look");
        assert!(last.followed_by(at(90, 800)).is_none(), "after a long time the rate is another one");
    }
}
