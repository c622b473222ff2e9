//! Reads sums for reports. What is not added up yet counts as well.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use sqlx::FromRow;

use crate::connection::error::StoreError;
use crate::connection::statement::{List, bounded_sum};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use codemint_offers::redemption::tally::Metric;
use codemint_offers::report::document::ReportRow;
use codemint_offers::report::figures::{Figures, Subject};

/// The maximum number of sums that a report is made of.
pub const SUMS_MAX: usize = 1_000_000;

/// What a report is about.
#[derive(Clone, Debug)]
pub struct ReportFilter {
    pub subject: Subject,
    /// The first day, in the zone of each campaign; `None` for all before.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: Option<NaiveDate>,
    /// The number of a campaign; `None` for all.
    pub campaign_no: Option<i64>,
}

/// What a report cannot be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySums;

impl Store {
    /// Returns the rows of a report in the order of their keys.
    pub async fn report(&self, filter: &ReportFilter) -> Result<Result<Vec<ReportRow>, TooManySums>, StoreError> {
        let (sql, mut snapshot) = (sums_sql(filter), self.begin_reading().await?);
        let days = [filter.from, filter.to].into_iter().flatten();
        let query = days.fold(snapshot.query(&sql), |query, day| query.bind(day)).without_time_limit();
        let sums: Vec<SumsRow> = query.fetch_all().await?;
        if sums.len() > SUMS_MAX {
            snapshot.rollback().await?;
            return Ok(Err(TooManySums));
        }
        let mut figures: HashMap<String, Figures> = HashMap::new();
        for sums in sums {
            let figures = figures.entry(sums.key).or_default();
            for (metric, amount) in METRICS.into_iter().zip([
                sums.issued,
                sums.clicks,
                sums.redeemed,
                sums.rolled_back,
                sums.discount,
                sums.revenue,
            ]) {
                if let Some(amount) = amount {
                    figures.add(metric, &sums.currency, amount);
                }
            }
        }
        figures.retain(|_, figures| !figures.is_empty());
        let names = match filter.subject {
            Subject::Campaigns => snapshot.names_of(figures.keys()).await?,
            _ => HashMap::new(),
        };
        snapshot.rollback().await?;
        let rows: BTreeMap<String, Figures> =
            figures.into_iter().map(|(key, figures)| (names.get(&key).cloned().unwrap_or(key), figures)).collect();
        Ok(Ok(rows.into_iter().map(|(key, figures)| ReportRow::new(key, &figures)).collect()))
    }
}

/// The sums that a report shows.
const METRICS: [Metric; 6] =
    [Metric::Issued, Metric::Clicks, Metric::Redeemed, Metric::RolledBack, Metric::Discount, Metric::Revenue];

/// The sums of a subject in one currency, or in none.
#[derive(FromRow)]
struct SumsRow {
    key: String,
    currency: String,
    issued: Option<i64>,
    clicks: Option<i64>,
    redeemed: Option<i64>,
    rolled_back: Option<i64>,
    discount: Option<i64>,
    revenue: Option<i64>,
}

/// Returns the statement that adds sums up. Its parameters are the days that the filter names. A column for each metric takes half of the
/// time of a row for each: fewer texts are compared.
fn sums_sql(filter: &ReportFilter) -> String {
    let key = match filter.subject {
        Subject::Campaigns => "campaign_no",
        Subject::Affiliates => "affiliate",
        Subject::Sources => "source",
        Subject::Ads => "ad",
        Subject::Days => "day",
    };
    let conditions = [
        filter.from.map(|_| "day >= $1".to_owned()),
        filter.to.map(|_| format!("day <= ${}", 1 + usize::from(filter.from.is_some()))),
        filter.campaign_no.map(|no| format!("campaign_no = {no}")),
    ];
    let conditions: Vec<String> = conditions.into_iter().flatten().collect();
    let condition = if conditions.is_empty() { String::new() } else { format!("where {}", conditions.join(" and ")) };
    let name = |metric: Metric| -> &'static str { metric.into_str() };
    let sums =
        METRICS.map(|metric| format!("sum(amount) filter (where metric = '{0}') as {0}", name(metric))).join(", ");
    let part = |table: &str| {
        format!("select {key} as key, currency, {sums} from {table} {condition} group by {key}, currency")
    };
    let totals = METRICS.map(|metric| format!("{} as {}", bounded_sum(name(metric)), name(metric))).join(", ");
    format!(
        "select cast(key as text) as key, currency, {totals}
           from ({} union all {}) parts
          group by key, currency
          limit {}",
        part("tallies"),
        part("tally_deltas"),
        SUMS_MAX + 1
    )
}

impl StoreTransaction {
    /// Returns the names of campaigns by their numbers, which are written as text.
    async fn names_of(&mut self, nos: impl Iterator<Item = &String>) -> Result<HashMap<String, String>, StoreError> {
        let nos: Vec<i64> = nos.filter_map(|no| no.parse().ok()).collect();
        let query = self.query("select no, name from campaigns where no = any($1)");
        let rows: Vec<(i64, String)> = query.bind(List(&nos)).fetch_all().await?;
        Ok(rows.into_iter().map(|(no, name)| (no.to_string(), name)).collect())
    }
}
