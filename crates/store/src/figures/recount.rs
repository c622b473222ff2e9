//! A recount: compares all sums with the facts that they are about, and corrects them where they differ.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::bounded_sum;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::redemptions::definition_cache::DefinitionCache;
use crate::redemptions::rows::{RedemptionRow, SELECT};
use crate::redemptions::tallies::PRUNED;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::tally::{Deltas, Metric, TallyKey};

/// The number of redemptions that are read at once.
const PAGE_ROWS: i64 = 5000;

/// What a recount has found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Recount {
    pub redemptions: u64,
    pub issued: u64,
    pub clicks: u64,
    /// The number of sums that were compared.
    pub sums: u64,
    /// Those that differ.
    pub differences: Vec<Difference>,
}

/// A sum that differs from its facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub campaign: String,
    pub day: NaiveDate,
    pub source: String,
    pub ad: String,
    pub affiliate: String,
    pub currency: String,
    pub metric: String,
    /// What the sum says.
    pub sum: i64,
    /// What the facts say.
    pub counted: i64,
}

/// Campaign, day, source, advertisement, affiliate, currency, metric.
type SumKey = (i64, NaiveDate, String, String, String, String, String);

impl Store {
    /// Compares all sums with the facts, at one instant. `proceed` is called between pages, and ends it if it returns an error.
    pub async fn recount<E: From<StoreError>>(
        &self,
        cache: &DefinitionCache,
        mut proceed: impl FnMut() -> Result<(), E>,
    ) -> Result<Recount, E> {
        let mut snapshot = self.begin_reading().await?;
        let sums = snapshot.read_all_sums().await?;
        let (mut recount, mut facts) = (Recount::default(), Deltas::default());
        let mut after = None;
        loop {
            proceed()?;
            let page = snapshot.read_redemptions_after(after).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            recount.redemptions += page.len() as u64;
            for redemption in &page {
                let zone = snapshot.definition(cache, (redemption.campaign_no, redemption.version)).await?.zone;
                facts.add(redemption, zone);
            }
        }
        recount.issued = snapshot.add_issued_facts(&mut facts).await?;
        proceed()?;
        recount.clicks = snapshot.add_click_facts(&mut facts).await?;
        let differing = differing(sums, &facts, &mut recount.sums);
        let names = snapshot.names_of_campaigns().await?;
        snapshot.rollback().await?;
        let difference = |(key, (sum, counted)): (SumKey, (i64, i64))| {
            let (no, day, source, ad, affiliate, currency, metric) = key;
            let campaign = names.get(&no).cloned().unwrap_or_else(|| no.to_string());
            Difference { campaign, day, source, ad, affiliate, currency, metric, sum, counted }
        };
        recount.differences = differing.into_iter().map(difference).collect();
        Ok(recount)
    }

    /// Adds to the sums what they lack according to a recount, however they have changed since.
    pub async fn correct_sums(&self, differences: &[Difference]) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        let names = transaction.names_of_campaigns().await?;
        let nos: HashMap<&String, i64> = names.iter().map(|(no, name)| (name, *no)).collect();
        for difference in differences {
            let Some(no) = nos.get(&difference.campaign).copied() else { continue };
            transaction.insert_correction(no, difference).await?;
        }
        let mut entry = AuditEntry::new(Action::SumsCorrect, Outcome::Done);
        entry.count = Some(differences.len() as u64);
        transaction.put_audit(&[entry]).await?;
        transaction.commit().await
    }
}

/// Returns each sum that differs from the facts, with both.
fn differing(sums: HashMap<SumKey, i64>, facts: &Deltas, compared: &mut u64) -> BTreeMap<SumKey, (i64, i64)> {
    let mut both: BTreeMap<SumKey, (i64, i64)> = BTreeMap::new();
    for (mut key, amount) in sums {
        // What was removed stays in the sums, and is noted beside them.
        let (metric, sign) = match key.6.strip_prefix(PRUNED) {
            Some(metric) => (metric.to_owned(), -1),
            None => (key.6, 1),
        };
        key.6 = metric;
        let sum = &mut both.entry(key).or_default().0;
        *sum = sum.saturating_add(sign * amount);
    }
    for (key, amount) in facts.iter() {
        let TallyKey { campaign_no, day, source, ad, affiliate, currency, metric } = key.clone();
        let key = (campaign_no, day, source, ad, affiliate, currency.to_owned(), metric.into_str().to_owned());
        let counted = &mut both.entry(key).or_default().1;
        *counted = counted.saturating_add(amount);
    }
    *compared = both.len() as u64;
    both.retain(|_, (sum, counted)| sum != counted);
    both
}

impl StoreTransaction {
    async fn read_all_sums(&mut self) -> Result<HashMap<SumKey, i64>, StoreError> {
        let sql = format!(
            "select campaign_no, day, source, ad, affiliate, currency, metric, {}
               from (select campaign_no, day, source, ad, affiliate, currency, metric, amount from tallies
                     union all
                     select campaign_no, day, source, ad, affiliate, currency, metric, amount from tally_deltas) changes
              group by campaign_no, day, source, ad, affiliate, currency, metric",
            bounded_sum("amount")
        );
        type Sum = (i64, NaiveDate, String, String, String, String, String, i64);
        let rows: Vec<Sum> = self.query(sql).without_time_limit().fetch_all().await?;
        let pair = |(no, day, source, ad, affiliate, currency, metric, amount): Sum| {
            ((no, day, source, ad, affiliate, currency, metric), amount)
        };
        Ok(rows.into_iter().map(pair).collect())
    }

    /// Reads the page behind an id, or the first one.
    async fn read_redemptions_after(&mut self, id: Option<Uuid>) -> Result<Vec<Redemption>, StoreError> {
        let condition = id.map_or("", |_| "where r.id > $2");
        let query = self.query(format!("{SELECT} {condition} order by r.id limit $1")).bind(PAGE_ROWS);
        let query = id.into_iter().fold(query, |query, id| query.bind(id));
        let rows: Vec<RedemptionRow> = query.without_time_limit().fetch_all().await?;
        rows.into_iter().map(Redemption::try_from).collect()
    }

    async fn add_issued_facts(&mut self, facts: &mut Deltas) -> Result<u64, StoreError> {
        const POSTGRES: &str = "
            select campaign_no, coalesce(day, (at at time zone 'UTC')::date), count(*) from assignments group by 1, 2";
        const SQLITE: &str =
            "select campaign_no, coalesce(day, substr(at, 1, 10)), count(*) from assignments group by 1, 2";
        let sql = if matches!(self, Self::Sqlite(_)) { SQLITE } else { POSTGRES };
        let rows: Vec<(i64, NaiveDate, i64)> = self.query(sql).without_time_limit().fetch_all().await?;
        rows.iter().for_each(|(no, day, codes)| facts.add_issued(*no, *day, *codes));
        Ok(rows.iter().map(|(.., codes)| codes.unsigned_abs()).sum())
    }

    async fn add_click_facts(&mut self, facts: &mut Deltas) -> Result<u64, StoreError> {
        const SQL: &str = "
            select campaign_no, day, coalesce(source, ''), coalesce(ad, ''), coalesce(affiliate, ''), count(*)
              from clicks group by 1, 2, 3, 4, 5";
        let rows: Vec<(i64, NaiveDate, String, String, String, i64)> =
            self.query(SQL).without_time_limit().fetch_all().await?;
        let mut all = 0;
        for (no, day, source, ad, affiliate, clicks) in rows {
            all += clicks.unsigned_abs();
            facts.add_to(TallyKey { source, ad, affiliate, ..TallyKey::of_count(no, day, Metric::Clicks) }, clicks);
        }
        Ok(all)
    }

    async fn names_of_campaigns(&mut self) -> Result<HashMap<i64, String>, StoreError> {
        let rows: Vec<(i64, String)> = self.query("select no, name from campaigns").fetch_all().await?;
        Ok(rows.into_iter().collect())
    }

    async fn insert_correction(&mut self, campaign_no: i64, difference: &Difference) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into tally_deltas (campaign_no, day, source, ad, affiliate, currency, metric, amount)
            values ($1, $2, $3, $4, $5, $6, $7, $8)";
        let Difference { day, source, ad, affiliate, currency, metric, sum, counted, .. } = difference;
        let query = self.query(SQL).bind(campaign_no).bind(*day).bind(source).bind(ad).bind(affiliate);
        query.bind(currency).bind(metric).bind(counted.saturating_sub(*sum)).execute().await?;
        Ok(())
    }
}
