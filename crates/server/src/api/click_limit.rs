//! How many clicks of one address count. A click beyond that leads to the landing page all the same: no buyer is ever stopped.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use codemint_offers::access::guessing::counted_as;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// After this many clicks, addresses that have not clicked for a while are forgotten.
const TIDY_EVERY: usize = 1000;
/// Beyond this many addresses within a minute, all are forgotten, so that they do not fill the memory.
const CLIENTS_MAX: usize = 100_000;

/// The limit of one process; `None` if there is none.
#[derive(Debug)]
pub(crate) struct ClickLimit(Option<Mutex<Clients>>);

/// The addresses that have clicked lately.
#[derive(Debug)]
struct Clients {
    quota: Quota,
    clicks: DefaultKeyedRateLimiter<IpAddr>,
    seen: usize,
}

impl ClickLimit {
    pub(super) fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self(per_minute.map(|limit| Mutex::new(Clients::new(Quota::per_minute(limit)))))
    }

    /// Returns true if a click of this client counts. Addresses that one subscriber may choose from are one client.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        let Some(clients) = &self.0 else { return true };
        clients.lock().unwrap_or_else(PoisonError::into_inner).admit(counted_as(client))
    }
}

impl Clients {
    fn new(quota: Quota) -> Self {
        Self { quota, clicks: RateLimiter::keyed(quota), seen: 0 }
    }

    fn admit(&mut self, client: IpAddr) -> bool {
        self.seen += 1;
        if self.seen.is_multiple_of(TIDY_EVERY) {
            self.tidy();
        }
        self.clicks.check_key(&client).is_ok()
    }

    fn tidy(&mut self) {
        self.clicks.retain_recent();
        if self.clicks.len() > CLIENTS_MAX {
            *self = Self::new(self.quota);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_minute: u32) -> ClickLimit {
        ClickLimit::new(NonZeroU32::new(per_minute))
    }

    fn client(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_clicks_of_one_subscriber_count_up_to_the_limit() {
        let limit = limit(3);
        let count = |texts: &[&str]| texts.iter().filter(|text| limit.admits(client(text))).count();
        assert_eq!(count(&["192.0.2.1"; 9]), 3);
        assert_eq!(count(&["192.0.2.2"; 2]), 2, "each address has its own limit");
        assert_eq!(count(&["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:a::", "2001:db8:0:1::9"]), 3);
        assert_eq!(count(&["2001:db8:0:2::1"]), 1);
    }

    #[test]
    fn without_a_limit_every_click_counts() {
        assert!((0..10_000).all(|_| limit(0).admits(client("192.0.2.1"))));
    }

    #[test]
    fn the_memory_of_addresses_is_bounded() {
        let limit = limit(1);
        let known = || limit.0.as_ref().map_or(0, |clients| clients.lock().expect("a lock").clicks.len());
        for number in 0..2 * CLIENTS_MAX {
            let number = u32::try_from(number).expect("an address");
            limit.admits(IpAddr::from(number.to_be_bytes()));
            assert!(known() <= CLIENTS_MAX + TIDY_EVERY, "{} after {number}", known());
        }
        assert!(known() >= TIDY_EVERY, "{}", known());
    }
}
