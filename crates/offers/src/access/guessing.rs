//! Guessing: which refusals count as wrong codes, and how long who guesses has to wait.

use core::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::verdict::reason::{Reason, ReasonCode};

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
