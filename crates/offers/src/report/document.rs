//! A row of a report, as programs read it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::report::figures::Figures;

/// The figures of a campaign, an affiliate, a source, an advertisement or a day.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ReportRow {
    /// The subject's name; empty where redemptions or clicks named none. A day is written as 2027-03-01.
    pub key: String,
    /// The number of codes that were issued to identities. They have no source, advertisement or affiliate.
    pub issued: i64,
    /// The number of clicks on links.
    pub clicks: i64,
    /// The number of confirmed redemptions, and of those that were rolled back and keep their use.
    pub redeemed: i64,
    pub rolled_back: i64,
    /// The redeemed share of the issued codes, or of the clicks where no code was issued; null without both.
    pub conversion: Option<f64>,
    /// What redemptions took off, in minor units; null if there are several currencies.
    pub discount: Option<i64>,
    /// The prices of carts before any discount, in minor units; null if there are several currencies.
    pub revenue: Option<i64>,
    /// The only currency; null if there is none, or if there are several.
    pub currency: Option<String>,
    /// The sums of money in each currency.
    pub amounts: Vec<ReportAmounts>,
}

/// The sums of money of a row in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReportAmounts {
    pub currency: String,
    /// What redemptions took off, in minor units.
    pub discount: i64,
    /// The prices of carts before any discount, in minor units.
    pub revenue: i64,
}

/// A line of a report as CSV: the first line of a subject has its counts, and each further one a further currency.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportLine<'a> {
    #[serde(skip)]
    pub key: &'a str,
    pub issued: Option<i64>,
    pub clicks: Option<i64>,
    pub redeemed: Option<i64>,
    pub rolled_back: Option<i64>,
    pub conversion: Option<f64>,
    pub discount: i64,
    pub revenue: i64,
    pub currency: &'a str,
}

impl ReportRow {
    pub fn new(key: String, figures: &Figures) -> Self {
        let amounts: Vec<ReportAmounts> = figures
            .amounts
            .iter()
            .map(|(currency, amounts)| ReportAmounts {
                currency: currency.clone(),
                discount: amounts.discount,
                revenue: amounts.revenue,
            })
            .collect();
        let (discount, revenue, currency) = match amounts.as_slice() {
            [] => (Some(0), Some(0), None),
            [only] => (Some(only.discount), Some(only.revenue), Some(only.currency.clone())),
            _ => (None, None, None),
        };
        Self {
            key,
            issued: figures.issued,
            clicks: figures.clicks,
            redeemed: figures.redeemed,
            rolled_back: figures.rolled_back,
            conversion: figures.conversion().map(|share| share as f64 / 10_000.0),
            discount,
            revenue,
            currency,
            amounts,
        }
    }

    /// Returns the sums over rows of a report.
    ///
    /// ```
    /// use codemint_offers::redemption::tally::Metric;
    /// use codemint_offers::report::document::ReportRow;
    /// use codemint_offers::report::figures::Figures;
    ///
    /// let mut figures = Figures::default();
    /// figures.add(Metric::Redeemed, "", 2);
    /// figures.add(Metric::Discount, "EUR", 500);
    /// let rows = ["spring", "autumn"].map(|key| ReportRow::new(key.to_owned(), &figures));
    /// let total = ReportRow::total(&rows);
    /// assert_eq!((total.redeemed, total.amounts["EUR"].discount), (4, 1000));
    /// ```
    pub fn total(rows: &[Self]) -> Figures {
        let mut total = Figures::default();
        for row in rows {
            total.issued = total.issued.saturating_add(row.issued);
            total.clicks = total.clicks.saturating_add(row.clicks);
            total.redeemed = total.redeemed.saturating_add(row.redeemed);
            total.rolled_back = total.rolled_back.saturating_add(row.rolled_back);
            for amounts in &row.amounts {
                let sums = total.amounts.entry(amounts.currency.clone()).or_default();
                sums.discount = sums.discount.saturating_add(amounts.discount);
                sums.revenue = sums.revenue.saturating_add(amounts.revenue);
            }
        }
        total
    }

    /// Returns the lines of this row as CSV.
    pub fn lines(&self) -> impl Iterator<Item = ReportLine<'_>> {
        let first = self.amounts.first();
        let line = ReportLine {
            key: &self.key,
            issued: Some(self.issued),
            clicks: Some(self.clicks),
            redeemed: Some(self.redeemed),
            rolled_back: Some(self.rolled_back),
            conversion: self.conversion,
            discount: first.map_or(0, |amounts| amounts.discount),
            revenue: first.map_or(0, |amounts| amounts.revenue),
            currency: first.map_or("", |amounts| &amounts.currency),
        };
        let further = self.amounts.iter().skip(1).map(|amounts| ReportLine {
            key: &self.key,
            issued: None,
            clicks: None,
            redeemed: None,
            rolled_back: None,
            conversion: None,
            discount: amounts.discount,
            revenue: amounts.revenue,
            currency: &amounts.currency,
        });
        std::iter::once(line).chain(further)
    }
}
