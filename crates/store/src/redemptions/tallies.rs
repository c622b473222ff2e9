//! Sums of facts. Each transaction writes what it adds; the worker adds it up.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::{List, SUM_MAX, bounded_sum};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;

/// The maximum number of changes that are added up at once.
pub const DELTAS_AT_ONCE: i64 = 50_000;

#[derive(FromRow)]
struct DeltaRow {
    campaign_no: i64,
    day: NaiveDate,
    source: String,
    ad: String,
    affiliate: String,
    currency: String,
    metric: String,
    amount: i64,
}

/// What stands before the name of a metric that sums what removed redemptions had added to it.
pub const PRUNED: &str = "pruned_";

/// Campaign, day, source, advertisement, affiliate, currency, metric.
type Key = (i64, NaiveDate, String, String, String, String, String);

/// The sums of a campaign by metric and currency, over all days.
pub type Sums = HashMap<(String, String), i64>;

impl Store {
    /// Adds up changes that other transactions have written, and returns their number. Any number of processes may do so; one at a
    /// time does.
    pub async fn add_up_tallies(&self) -> Result<u64, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let count = match &transaction {
            StoreTransaction::Postgres(_) => transaction.add_up_at_once().await?,
            StoreTransaction::Sqlite(_) => transaction.add_up_here().await?,
        };
        if count > 0 {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(count)
    }

    /// Returns the sums of campaigns, those that are not added up yet included.
    pub async fn read_sums(&self, campaign_nos: &[i64]) -> Result<HashMap<i64, Sums>, StoreError> {
        let sql = format!(
            "select campaign_no, metric, currency, {}
               from (select campaign_no, metric, currency, amount from tallies where campaign_no = any($1)
                     union all
                     select campaign_no, metric, currency, amount from tally_deltas where campaign_no = any($1)) changes
              group by campaign_no, metric, currency",
            bounded_sum("amount")
        );
        let rows: Vec<(i64, String, String, i64)> = self.query(sql).bind(List(campaign_nos)).fetch_all().await?;
        let mut sums: HashMap<i64, Sums> = HashMap::new();
        for (campaign_no, metric, currency, amount) in rows {
            sums.entry(campaign_no).or_default().insert((metric, currency), amount);
        }
        Ok(sums)
    }
}

impl StoreTransaction {
    /// Adds changes up in the database, in one statement. Those of transactions at work are left for later. Sums are changed in one order,
    /// as by earlier versions of the program, so that nobody waits in a circle.
    async fn add_up_at_once(&mut self) -> Result<u64, StoreError> {
        let sql = format!(
            "with taken as (
                delete from tally_deltas where no < (select min(no) from tally_deltas) + $1
                returning campaign_no, day, source, ad, affiliate, currency, metric, amount),
            added as (
                insert into tallies (campaign_no, day, source, ad, affiliate, currency, metric, amount)
                select campaign_no, day, source, ad, affiliate, currency, metric, {}
                  from taken group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
                on conflict (campaign_no, day, source, ad, affiliate, currency, metric)
                do update set amount = cast(least(greatest(tallies.amount::numeric + excluded.amount, -{SUM_MAX}), {SUM_MAX}) as bigint))
            select count(*) from taken",
            bounded_sum("amount")
        );
        if !self.try_lock_tallies().await? {
            return Ok(0);
        }
        let count: i64 = self.query(sql).bind(DELTAS_AT_ONCE).without_time_limit().fetch_value().await?;
        Ok(count.unsigned_abs())
    }

    /// Adds changes up in this process: SQLite cannot delete and insert in one statement.
    async fn add_up_here(&mut self) -> Result<u64, StoreError> {
        const TAKE: &str = "
            delete from tally_deltas where no in (select no from tally_deltas order by no limit $1)
            returning campaign_no, day, source, ad, affiliate, currency, metric, amount";
        const ADD: &str = "
            insert into tallies (campaign_no, day, source, ad, affiliate, currency, metric, amount)
            select d.campaign_no, d.day, d.source, d.ad, d.affiliate, d.currency, d.metric, d.amount
              from json_to_recordset($1::json)
                as d(campaign_no bigint, day date, source text, ad text, affiliate text, currency text, metric text, amount bigint)
             where true
            on conflict (campaign_no, day, source, ad, affiliate, currency, metric)
            do update set amount = cast(tallies.amount + excluded.amount as bigint)";
        let deltas: Vec<DeltaRow> = self.query(TAKE).bind(DELTAS_AT_ONCE).fetch_all().await?;
        if deltas.is_empty() {
            return Ok(0);
        }
        let count = deltas.len() as u64;
        let mut sums: BTreeMap<Key, i64> = BTreeMap::new();
        for DeltaRow { campaign_no, day, source, ad, affiliate, currency, metric, amount } in deltas {
            let sum = sums.entry((campaign_no, day, source, ad, affiliate, currency, metric)).or_default();
            *sum = sum.saturating_add(amount);
        }
        let row = |(key, amount): (&Key, &i64)| {
            let (campaign_no, day, source, ad, affiliate, currency, metric) = key;
            json!({ "campaign_no": campaign_no, "day": day, "source": source, "ad": ad, "affiliate": affiliate,
                    "currency": currency, "metric": metric, "amount": amount })
        };
        let rows: Value = sums.iter().map(row).collect();
        let added = self.query(ADD).bind(rows.to_string()).execute().await?;
        require_rows("the addition of sums", added, sums.len() as u64)?;
        Ok(count)
    }
}
