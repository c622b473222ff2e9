//! What the terms of a referral campaign say.

use chrono::{DateTime, Days, Utc};

use crate::campaign::definition::{Definition, Kind, Purpose, REFERRAL_DEPTH_MAX, Referral};

impl Definition {
    /// Returns true if its minted codes wait in a pool: each is handed out to one person.
    pub fn has_pool(&self) -> bool {
        self.kind == Kind::Restricted || self.is_referral()
    }

    /// Returns true if its codes are passed on to friends.
    pub fn is_referral(&self) -> bool {
        self.purpose == Purpose::Referral
    }
}

impl Referral {
    /// Returns the depth of the last generation whose friends get codes of their own; the people whom the shop names have depth 0.
    pub fn depth_limit(&self) -> u64 {
        if self.max_depth == 0 { REFERRAL_DEPTH_MAX } else { self.max_depth }
    }

    /// Returns true if a referrer with this many friends may get another one with a code.
    pub fn allows_child(&self, children: u64) -> bool {
        self.max_codes_per_referrer == 0 || children < self.max_codes_per_referrer
    }

    /// Returns when the referrer of a redemption that is confirmed now is to be rewarded; `None` without a reward.
    pub fn reward_due_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.reward_campaign.as_ref()?;
        now.checked_add_days(Days::new(self.reward_delay_days))
    }
}
