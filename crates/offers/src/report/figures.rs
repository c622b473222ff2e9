//! What sums say about one subject of a report.

use std::collections::BTreeMap;

use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::redemption::tally::Metric;

/// What the rows of a report are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Subject {
    Campaigns,
    Affiliates,
    Sources,
    Ads,
    Days,
}

/// The figures of one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Codes that were issued to identities.
    pub issued: i64,
    /// Clicks on links.
    pub clicks: i64,
    /// Confirmed redemptions, and those that were rolled back and keep their use.
    pub redeemed: i64,
    pub rolled_back: i64,
    /// The sums of money, by currency.
    pub amounts: BTreeMap<String, Amounts>,
}

/// Sums of money in minor units of one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// What redemptions took off.
    pub discount: i64,
    /// Prices of carts before any discount.
    pub revenue: i64,
}

impl Figures {
    /// Adds a sum. Those that no report shows change nothing.
    pub fn add(&mut self, metric: Metric, currency: &str, amount: i64) {
        let amounts = |figures: &mut Self, change: fn(&mut Amounts) -> &mut i64| {
            *change(figures.amounts.entry(currency.to_owned()).or_default()) += amount;
        };
        match metric {
            Metric::Issued => self.issued += amount,
            Metric::Clicks => self.clicks += amount,
            Metric::Redeemed => self.redeemed += amount,
            Metric::RolledBack => self.rolled_back += amount,
            Metric::Discount => amounts(self, |amounts| &mut amounts.discount),
            Metric::Revenue => amounts(self, |amounts| &mut amounts.revenue),
            Metric::Held | Metric::DiscountHeld => {}
        }
    }

    /// Returns true if nothing has happened.
    pub fn is_empty(&self) -> bool {
        let counts = [self.issued, self.clicks, self.redeemed, self.rolled_back];
        counts.iter().all(|count| *count == 0) && self.amounts.values().all(|amounts| *amounts == Amounts::default())
    }

    /// Returns the redeemed share in units of 1/10000, rounded down: of the issued codes, or of the clicks if no code was issued; `None`
    /// without both.
    pub fn conversion(&self) -> Option<i64> {
        let base = if self.issued > 0 { self.issued } else { self.clicks };
        (base > 0).then(|| self.redeemed.saturating_mul(10_000) / base)
    }
}
