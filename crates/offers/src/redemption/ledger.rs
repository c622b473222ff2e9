//! What is taken of the limits, and what a redemption takes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use strum::{EnumString, IntoStaticStr};

use crate::campaign::definition::Limits;
use crate::money::Currency;

/// What a limit is about. In the order in which allowances are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Scope {
    /// The uses by an identity, which is known by its keyed digest.
    Identity,
    /// The uses of a code.
    Code,
    /// The uses of all codes of a campaign.
    Campaign,
    /// The sum of discounts in a currency.
    Budget,
}

/// What an allowance is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub scope: Scope,
    pub campaign_no: i64,
    /// A code, the digest of an identity, a currency; empty for a campaign.
    pub subject: String,
}

impl Subject {
    /// Returns true if its allowance is made when it is used first; the others are made with their limits.
    pub const fn is_made_at_first_use(&self) -> bool {
        matches!(self.scope, Scope::Code | Scope::Identity)
    }
}

/// An allowance as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    pub quota: u64,
    pub taken: u64,
}

/// The allowances of some subjects. A subject without one is unlimited, or has not been used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<Subject, Allowance>);

/// What a redemption takes of each subject, whether that is limited or not: a use, or minor units of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takings(Vec<(Subject, u64)>);

impl Ledger {
    pub fn put(&mut self, subject: Subject, allowance: Allowance) {
        self.0.insert(subject, allowance);
    }

    pub fn get(&self, subject: &Subject) -> Option<Allowance> {
        self.0.get(subject).copied()
    }

    /// Returns what is taken; 0 without an allowance.
    pub fn taken(&self, subject: &Subject) -> u64 {
        self.0.get(subject).map_or(0, |allowance| allowance.taken)
    }

    /// Takes, where there are allowances. The verdict has compared the limits before.
    pub fn take(&mut self, takings: &Takings) {
        for (subject, amount) in &takings.0 {
            if let Some(allowance) = self.0.get_mut(subject) {
                allowance.taken = allowance.taken.saturating_add(*amount);
            }
        }
    }

    /// Gives back, where there are allowances.
    pub fn give(&mut self, takings: &Takings) {
        for (subject, amount) in &takings.0 {
            if let Some(allowance) = self.0.get_mut(subject) {
                allowance.taken = allowance.taken.saturating_sub(*amount);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Allowance)> {
        self.0.iter()
    }

    /// Returns what was taken, or given back, since the ledger was as `before`.
    pub fn changes_since(&self, before: &Self) -> Vec<(&Subject, i64)> {
        let change = |(subject, allowance): (_, &Allowance)| {
            let change = allowance.taken.cast_signed() - before.taken(subject).cast_signed();
            (change != 0).then_some((subject, change))
        };
        self.0.iter().filter_map(change).collect()
    }
}

impl Takings {
    /// Returns what a use takes. `identity` is its digest; `discount` what it costs the budget.
    pub fn of(campaign_no: i64, code: &str, identity: Option<&str>, discount: Option<(Currency, i64)>) -> Self {
        let subject = |scope, subject: &str| Subject { scope, campaign_no, subject: subject.to_owned() };
        let mut takings = Vec::with_capacity(4);
        takings.extend(identity.map(|digest| (subject(Scope::Identity, digest), 1)));
        takings.push((subject(Scope::Code, code), 1));
        takings.push((subject(Scope::Campaign, ""), 1));
        takings.extend(
            discount.map(|(currency, amount)| (subject(Scope::Budget, currency.code()), amount.unsigned_abs())),
        );
        Self(takings)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Subject, u64)> {
        self.0.iter()
    }

    /// Returns those subjects that a campaign limits, each with its quota.
    pub fn limited<'a>(&'a self, limits: &'a Limits) -> impl Iterator<Item = (&'a Subject, u64, u64)> {
        self.0.iter().filter_map(|(subject, amount)| {
            let quota = quota(limits, subject)?;
            Some((subject, quota, *amount))
        })
    }
}

/// What remains of each limit for one use; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Remaining {
    /// Uses of the code.
    pub code: Option<u64>,
    /// Uses by the identity.
    pub identity: Option<u64>,
    /// Uses of all codes of the campaign.
    pub campaign: Option<u64>,
    /// Minor units of the budget.
    pub budget: Option<u64>,
}

impl Remaining {
    /// Returns what remains for the subjects of one use.
    pub fn of(takings: &Takings, limits: &Limits, ledger: &Ledger) -> Self {
        let mut remaining = Self::default();
        for (subject, quota, _) in takings.limited(limits) {
            let left = Some(quota.saturating_sub(ledger.taken(subject)));
            match subject.scope {
                Scope::Identity => remaining.identity = left,
                Scope::Code => remaining.code = left,
                Scope::Campaign => remaining.campaign = left,
                Scope::Budget => remaining.budget = left,
            }
        }
        remaining
    }
}

/// Returns the quota of a subject; `None` if it is unlimited.
fn quota(limits: &Limits, subject: &Subject) -> Option<u64> {
    let quota = match subject.scope {
        Scope::Identity => limits.per_identity,
        Scope::Code => limits.per_code,
        Scope::Campaign => limits.redeemed,
        Scope::Budget => {
            let budget = limits.budget.filter(|budget| budget.currency.code() == subject.subject);
            budget.map_or(0, |budget| budget.amount.unsigned_abs())
        }
    };
    (quota > 0).then_some(quota)
}
