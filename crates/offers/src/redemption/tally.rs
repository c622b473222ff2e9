//! What facts add to the sums of their campaign: redemptions, issued codes, clicks.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use strum::{EnumString, IntoStaticStr};

use crate::redemption::record::Redemption;
use crate::redemption::state::State;

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Metric {
    /// Redemptions that are held.
    Held,
    /// Redemptions that count and are not held.
    Redeemed,
    RolledBack,
    /// Discounts of held redemptions, in minor units.
    DiscountHeld,
    /// Discounts of redemptions that count and are not held, in minor units.
    Discount,
    /// Prices of the carts of confirmed redemptions before any discount, in minor units.
    Revenue,
    /// Codes that were issued to identities.
    Issued,
    /// Clicks on links.
    Clicks,
}

/// What a sum is about. Empty texts stand for what is unknown; a number of redemptions has no currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TallyKey {
    pub campaign_no: i64,
    /// The day on which the redemption was made, in its campaign's zone.
    pub day: NaiveDate,
    pub source: String,
    pub ad: String,
    pub affiliate: String,
    pub currency: &'static str,
    pub metric: Metric,
}

impl TallyKey {
    /// Returns the key of a number whose source is unknown.
    pub fn of_count(campaign_no: i64, day: NaiveDate, metric: Metric) -> Self {
        let (source, ad, affiliate) = (String::new(), String::new(), String::new());
        Self { campaign_no, day, source, ad, affiliate, currency: "", metric }
    }
}

/// Changes of sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deltas(BTreeMap<TallyKey, i64>);

impl Deltas {
    /// Adds what a redemption contributes as it is.
    pub fn add(&mut self, redemption: &Redemption, zone: Tz) {
        self.change(redemption, zone, 1);
    }

    /// Takes away what a redemption contributed as it was.
    pub fn subtract(&mut self, redemption: &Redemption, zone: Tz) {
        self.change(redemption, zone, -1);
    }

    /// Adds codes that were issued on this day.
    pub fn add_issued(&mut self, campaign_no: i64, day: NaiveDate, codes: i64) {
        self.add_to(TallyKey::of_count(campaign_no, day, Metric::Issued), codes);
    }

    /// Adds a change of a sum.
    pub fn add_to(&mut self, key: TallyKey, amount: i64) {
        let sum = self.0.entry(key).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// Returns the sums that change, each with its change.
    pub fn iter(&self) -> impl Iterator<Item = (&TallyKey, i64)> {
        self.0.iter().map(|(key, amount)| (key, *amount)).filter(|(_, amount)| *amount != 0)
    }

    fn change(&mut self, redemption: &Redemption, zone: Tz, sign: i64) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = |metric, currency| TallyKey {
            campaign_no: redemption.campaign_no,
            day: redemption.held_at.with_timezone(&zone).date_naive(),
            source: text(&redemption.source),
            ad: text(&redemption.ad),
            affiliate: text(&redemption.affiliate),
            currency,
            metric,
        };
        let mut put = |metric, currency, amount: i64| {
            if amount != 0 {
                self.add_to(key(metric, currency), sign * amount);
            }
        };
        let (count, discount, revenue) = metrics_of(redemption);
        put(count.0, "", count.1);
        if let Some(granted) = &redemption.discount {
            put(discount.0, granted.currency.code(), discount.1 * granted.amount);
            put(Metric::Revenue, granted.currency.code(), revenue * redemption.order_amount.unwrap_or_default());
        }
        if redemption.state == State::RolledBack {
            put(Metric::RolledBack, "", 1);
        }
    }
}

/// Returns how often a redemption counts, how often its discount does, and how often its revenue.
fn metrics_of(redemption: &Redemption) -> ((Metric, i64), (Metric, i64), i64) {
    match redemption.state {
        State::Held => ((Metric::Held, 1), (Metric::DiscountHeld, 1), 0),
        State::Confirmed => ((Metric::Redeemed, 1), (Metric::Discount, 1), 1),
        State::RolledBack if redemption.keep_use => ((Metric::Redeemed, 1), (Metric::Discount, 1), 0),
        State::Released | State::Expired | State::RolledBack => ((Metric::Redeemed, 0), (Metric::Discount, 0), 0),
    }
}
