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
        let sum = match metric {
            Metric::Issued => &mut self.issued,
            Metric::Clicks => &mut self.clicks,
            Metric::Redeemed => &mut self.redeemed,
            Metric::RolledBack => &mut self.rolled_back,
            Metric::Discount => &mut self.amounts.entry(currency.to_owned()).or_default().discount,
            Metric::Revenue => &mut self.amounts.entry(currency.to_owned()).or_default().revenue,
            Metric::Held | Metric::DiscountHeld => return,
        };
        *sum = sum.saturating_add(amount);
    }

    /// Returns true if nothing has happened.
    pub fn is_empty(&self) -> bool {
        let counts = [self.issued, self.clicks, self.redeemed, self.rolled_back];
        counts.iter().all(|count| *count == 0) && self.amounts.values().all(|amounts| *amounts == Amounts::default())
    }

    /// Returns the redeemed share in units of 1/10000, rounded half up: of the issued codes, or else of the clicks. `None` if more was redeemed
    /// than both: then most was redeemed without being issued or clicked, and a share would say nothing.
    pub fn conversion(&self) -> Option<i64> {
        let base = [self.issued, self.clicks].into_iter().find(|base| *base > 0 && self.redeemed <= *base)?;
        let rounded = (i128::from(self.redeemed) * 10_000 + i128::from(base) / 2) / i128::from(base);
        // At most 10000.
        i64::try_from(rounded).ok()
    }
}
