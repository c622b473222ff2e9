//! The status of a campaign, from one function.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::campaign::definition::{Definition, Kind};
use crate::money::Money;

/// The status of a campaign, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Scheduled,
    Active,
    Off,
    Exhausted,
    Expired,
}

/// What a campaign has used up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// The number of codes.
    pub codes: u64,
    /// The number of codes that are issued to identities.
    pub issued: u64,
    /// The number of redemptions that wait for the payment.
    pub held: u64,
    /// The number of redemptions that count and are not held.
    pub redeemed: u64,
    /// The sum of the discounts that count, those held included, in minor units of the budget's currency, or without a budget of the only
    /// currency; 0 if there are several.
    pub discount: i64,
    /// The sum of the discounts that count, those held included, in each currency.
    pub discounts: Vec<Money>,
}

/// Returns the status at an instant. If several apply, the first of these does: expired, off, scheduled, exhausted, active.
pub fn status(definition: &Definition, counts: &Counts, now: DateTime<Utc>) -> Status {
    if definition.has_ended(now) {
        Status::Expired
    } else if !definition.active {
        Status::Off
    } else if !definition.has_started(now) {
        Status::Scheduled
    } else if is_exhausted(definition, counts) {
        Status::Exhausted
    } else {
        Status::Active
    }
}

/// Returns true if no further redemption can be granted. Limits per code or identity exhaust only a public campaign, which
/// has one code.
fn is_exhausted(definition: &Definition, counts: &Counts) -> bool {
    let limits = &definition.limits;
    let taken = counts.held.saturating_add(counts.redeemed);
    let reached = |limit: u64| limit > 0 && taken >= limit;
    let is_spent = limits.budget.is_some_and(|budget| counts.discount >= budget.amount);
    reached(limits.redeemed) || is_spent || definition.kind == Kind::Public && reached(limits.per_code)
}

impl Definition {
    /// Returns true if it is on, has started and has not ended.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.active && self.has_started(now) && !self.has_ended(now)
    }

    /// Returns false before the first instant of the campaign.
    pub fn has_started(&self, now: DateTime<Utc>) -> bool {
        self.starts_at.is_none_or(|starts_at| starts_at <= now)
    }

    /// Returns true from the first instant after the campaign.
    pub fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= now)
    }
}
