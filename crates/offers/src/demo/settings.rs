//! What a demo follows from.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// The number of days in which the redemptions of a demo lie.
pub const DAYS: u32 = 90;
pub const REDEMPTIONS_MIN: u64 = 100;
pub const REDEMPTIONS_MAX: u64 = 1_000_000;
pub const REDEMPTIONS_USUAL: u64 = 20_000;

/// What a demo follows from: equal settings give equal plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoSettings {
    pub seed: u64,
    /// The first day after those of the demo, in UTC.
    pub until: NaiveDate,
    /// The approximate number of redemptions.
    pub redemptions: u64,
}

impl DemoSettings {
    /// Returns the beginning of a day of the demo; that of day [`DAYS`] is the end.
    pub fn day(&self, day: i64) -> DateTime<Utc> {
        let end = self.until.and_time(NaiveTime::MIN).and_utc();
        end + TimeDelta::days(day - i64::from(DAYS))
    }

    /// Returns the first instant after everything that happens.
    pub fn end(&self) -> DateTime<Utc> {
        self.day(i64::from(DAYS))
    }

    /// Returns this share of the redemptions, in thousandths, at least one.
    pub(super) fn share(&self, per_mille: u64) -> u64 {
        (self.redemptions * per_mille / 1000).max(1)
    }
}
