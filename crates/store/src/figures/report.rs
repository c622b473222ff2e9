//! Reads sums for reports. What is not added up yet counts as well.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
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
        let (from, to) = (filter.from.unwrap_or(FIRST_DAY), filter.to.unwrap_or(LAST_DAY));
        let sql = sums_sql(filter);
        let mut snapshot = self.begin_reading().await?;
        let query = snapshot.query(&sql).bind(from).bind(to).bind(filter.campaign_no.unwrap_or_default());
        let sums: Vec<(String, String, String, i64)> = query.without_time_limit().fetch_all().await?;
        if sums.len() > SUMS_MAX {
            snapshot.rollback().await?;
            return Ok(Err(TooManySums));
        }
        let mut figures: HashMap<String, Figures> = HashMap::new();
        for (key, metric, currency, amount) in sums {
            // A newer program may sum up more.
            if let Ok(metric) = metric.parse::<Metric>() {
                figures.entry(key).or_default().add(metric, &currency, amount);
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

const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(1, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};
const LAST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(9999, 12, 31) {
    Some(day) => day,
    None => NaiveDate::MAX,
};

fn sums_sql(filter: &ReportFilter) -> String {
    let key = match filter.subject {
        Subject::Campaigns => "campaign_no",
        Subject::Affiliates => "affiliate",
        Subject::Sources => "source",
        Subject::Ads => "ad",
        Subject::Days => "day",
    };
    // The third parameter is used in either case.
    let campaign = if filter.campaign_no.is_some() { "campaign_no = $3" } else { "$3 = 0" };
    let part = |table: &str| {
        format!(
            "select {key} as key, metric, currency, sum(amount) as amount
               from {table}
              where day between $1 and $2 and {campaign}
                and metric in ('issued', 'clicks', 'redeemed', 'rolled_back', 'discount', 'revenue')
              group by {key}, metric, currency"
        )
    };
    format!(
        "select cast(key as text), metric, currency, cast(sum(amount) as bigint)
           from ({} union all {}) parts
          group by key, metric, currency
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
