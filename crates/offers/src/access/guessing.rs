//! Guessing: which refusals count as wrong codes, and how long who guesses has to wait.

use core::net::{IpAddr, Ipv6Addr};
use core::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::verdict::reason::{Reason, ReasonCode};

const MINUTE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The pause is doubled this often at most: to 21 minutes.
const DOUBLED_MAX: u32 = 8;

/// A pause of somebody who named too many wrong codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// How often the first pause was doubled.
    doubled: u32,
}

impl Pause {
    /// Returns the next pause: twice the one before, unless that began so long ago that it is forgotten.
    pub fn after(before: Option<(Duration, Self)>) -> Self {
        match before {
            Some((age, before)) if age < before.remembered_for() => {
                Self { doubled: (before.doubled + 1).min(DOUBLED_MAX) }
            }
            _ => Self { doubled: 0 },
        }
    }

    pub fn length(self) -> Duration {
        FIRST_PAUSE * 2_u32.pow(self.doubled)
    }

    /// Returns how long after its beginning a further failure doubles it.
    pub fn remembered_for(self) -> Duration {
        self.length() * 4
    }
}

/// The failures of a guesser that count, and the pause that they led to.
#[derive(Clone, Copy, Debug)]
pub struct Failures {
    /// When none of them counts any more: each counts for its share of a minute, one after the other.
    counted_until: Instant,
    /// The last pause, and when it began.
    pause: Option<(Instant, Pause)>,
}

impl Failures {
    pub fn none(now: Instant) -> Self {
        Self { counted_until: now, pause: None }
    }

    /// Returns how many further failures are answered, the last of which begins a pause: at least one.
    ///
    /// # Errors
    /// The time that is left of a pause.
    pub fn left(&self, now: Instant, per_minute: NonZeroU32) -> Result<u32, Duration> {
        if let Some((began, pause)) = self.pause
            && let Some(left) = pause.length().checked_sub(now.saturating_duration_since(began))
            && !left.is_zero()
        {
            return Err(left);
        }
        let counted = self.counted_until.saturating_duration_since(now).as_nanos();
        let counted = counted.div_ceil((MINUTE / per_minute.get()).as_nanos());
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        Ok(per_minute.get().saturating_sub(counted).saturating_add(1))
    }

    /// Counts a failure. Failures during a pause do not lengthen it: they are answers to requests that were sent before it began.
    pub fn note(&mut self, now: Instant, per_minute: NonZeroU32) {
        match self.left(now, per_minute) {
            Err(_pause) => {}
            Ok(1) => {
                let before = self.pause.map(|(began, pause)| (now.saturating_duration_since(began), pause));
                self.pause = Some((now, Pause::after(before)));
            }
            Ok(_) => self.counted_until = self.counted_until.max(now) + MINUTE / per_minute.get(),
        }
    }

    /// Returns true if nothing counts any more.
    pub fn are_forgotten(&self, now: Instant) -> bool {
        let is_over = |(began, pause): (Instant, Pause)| now.saturating_duration_since(began) >= pause.remembered_for();
        self.counted_until <= now && self.pause.is_none_or(is_over)
    }
}

/// Returns the address for which the failures of a client count: an IPv6 subscriber chooses the last 64 bits.
pub fn counted_as(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// Returns true if the refusal is one of a wrong code. A used-up code was right.
pub fn is_failure(reasons: &[Reason]) -> bool {
    reasons.iter().any(|reason| matches!(reason.code, ReasonCode::CodeNotFound | ReasonCode::WrongIdentity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_forgotten() {
        let mut pause = Pause::after(None);
        assert_eq!(pause.length(), Duration::from_secs(5));
        for _ in 0..20 {
            let next = Pause::after(Some((pause.length(), pause)));
            assert!(next.length() == pause.length() * 2 || next.length() == Duration::from_secs(5 * 256));
            pause = next;
        }
        assert_eq!(pause.length(), Duration::from_secs(1280));
        assert_eq!(Pause::after(Some((pause.remembered_for(), pause))), Pause::after(None));
    }

    #[test]
    fn regression_a_failure_during_a_pause_does_not_lengthen_it() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let limit = NonZeroU32::new(3).expect("not zero");
        let mut failures = Failures::none(start);
        // Failures at a time, and what is left then: further failures, or seconds of a pause.
        for (seconds, noted, left) in [
            (0.0, 0, Ok(4)),
            (0.0, 2, Ok(2)),
            (0.0, 1, Ok(1)),
            (1.0, 1, Err(5.0)),
            (1.0, 1000, Err(5.0)),
            (4.0, 10, Err(2.0)),
            (6.0, 0, Ok(1)),
            // The next pause is twice as long.
            (6.0, 50, Err(10.0)),
            (16.0, 0, Ok(1)),
            // A failure counts for 20 seconds.
            (21.0, 0, Ok(2)),
            (21.0, 2, Err(20.0)),
            (102.0, 0, Ok(4)),
            // The last pause is forgotten after four times its length.
            (102.0, 4, Err(5.0)),
        ] {
            (0..noted).for_each(|_| failures.note(at(seconds), limit));
            let found = failures.left(at(seconds), limit).map_err(|left| left.as_secs_f64().round());
            assert_eq!(found, left, "{noted} at {seconds}");
        }
        assert!(!failures.are_forgotten(at(121.9)) && failures.are_forgotten(at(162.0)));
        assert_eq!(Failures::none(start).left(start, NonZeroU32::MAX), Ok(u32::MAX));
    }

    #[test]
    fn failures_of_an_ipv6_subscriber_count_as_those_of_one_client() {
        let counted = |text: &str| counted_as(text.parse().expect("an address")).to_string();
        assert_eq!(counted("2001:db8:1:2:a:b:c:d"), "2001:db8:1:2::");
        assert_eq!(counted("203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn only_wrong_codes_and_codes_of_others_are_failures() {
        for (code, is_one) in [
            (ReasonCode::CodeNotFound, true),
            (ReasonCode::WrongIdentity, true),
            (ReasonCode::LimitReached, false),
            (ReasonCode::Expired, false),
            (ReasonCode::ConditionNotMet, false),
        ] {
            assert_eq!(is_failure(&[code.into()]), is_one, "{code:?}");
        }
        assert!(!is_failure(&[]));
    }
}
