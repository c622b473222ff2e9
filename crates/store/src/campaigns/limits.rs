//! The limits of a campaign as rows of `allowances`. The lock of the campaign is held.

use std::collections::BTreeMap;

use crate::connection::error::StoreError;
use crate::connection::statement::bounded_sum;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use crate::redemptions::allowances::NewAllowance;
use crate::redemptions::tallies::PRUNED;
use codemint_codes::identity::IdentityKey;
use codemint_offers::campaign::change::Taken;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::redemption::ledger::{Scope, Subject};

/// The uses that count, of redemptions `r` of the campaign `$1`.
const COUNTING: &str =
    "from redemptions r where r.campaign_no = $1 and (r.state in ('held', 'confirmed') or r.keep_use)";

/// The number of allowances that are inserted at once.
const SEEDED_AT_ONCE: usize = 10_000;

/// What counts against a limit.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    /// Everything, in uses or in minor units.
    taken: u64,
    /// What of it comes from removed redemptions.
    pruned: u64,
}

impl StoreTransaction {
    /// Returns what is taken of the limits of a campaign, also of those that are unlimited and have no rows but are to get
    /// some.
    pub(crate) async fn find_taken(
        &mut self,
        campaign_no: i64,
        old: &Definition,
        new: &Definition,
    ) -> Result<Taken, StoreError> {
        const SQL: &str = "select scope, max(taken) from allowances where campaign_no = $1 group by scope";
        let rows: Vec<(String, i64)> = self.query(SQL).bind(campaign_no).fetch_all().await?;
        let mut taken = Taken { issued: self.count_issued(campaign_no).await?, ..Taken::default() };
        for (scope, most) in rows {
            let most = unsigned("allowances", most)?;
            match &*scope {
                "campaign" => taken.redeemed = most,
                "budget" => taken.budget = most,
                "code" => taken.per_code = most,
                "identity" => taken.per_identity = most,
                _ => {}
            }
        }
        let (old, new) = (&old.limits, &new.limits);
        let is_new = |old: u64, new: u64| old == 0 && new > 0;
        if is_new(old.redeemed, new.redeemed) {
            taken.redeemed = self.count_uses(campaign_no).await?.taken;
        }
        // No row counts what was spent in the currency of a new budget.
        match (old.budget, new.budget) {
            (None, Some(budget)) => {
                taken.budget = self.sum_discounts(campaign_no, budget.currency.code()).await?.taken;
            }
            (Some(old), Some(budget)) if old.currency != budget.currency => {
                taken.other_budget = self.sum_discounts(campaign_no, budget.currency.code()).await?.taken;
            }
            _ => {}
        }
        if is_new(old.per_code, new.per_code) {
            taken.per_code = self.find_most_uses(campaign_no, "code").await?;
        }
        if is_new(old.per_identity, new.per_identity) {
            taken.per_identity = self.find_most_uses(campaign_no, "identity").await?;
        }
        Ok(taken)
    }

    /// Makes the rows agree with the definition, which was checked against what is taken. `old` is the definition so far.
    pub(crate) async fn put_limits(
        &mut self,
        campaign_no: i64,
        old: Option<&Definition>,
        new: &Definition,
        key: &IdentityKey,
    ) -> Result<(), StoreError> {
        let limits = &new.limits;
        let issued = self.count_issued(campaign_no).await?;
        let issued = Uses { taken: issued, pruned: 0 };
        self.put_limit(campaign_no, "issued", "", limits.issued, issued).await?;
        let uses = if limits.redeemed > 0 { self.count_uses(campaign_no).await? } else { Uses::default() };
        self.put_limit(campaign_no, "campaign", "", limits.redeemed, uses).await?;
        let (currency, budget) =
            limits.budget.map_or(("", 0), |budget| (budget.currency.code(), budget.amount.unsigned_abs()));
        self.query("delete from allowances where campaign_no = $1 and scope = 'budget' and subject <> $2")
            .bind(campaign_no)
            .bind(currency)
            .execute()
            .await?;
        let spent = if budget > 0 { self.sum_discounts(campaign_no, currency).await? } else { Uses::default() };
        self.put_limit(campaign_no, "budget", currency, budget, spent).await?;
        // Their rows are made at the first use; where there was no limit, that may have been before.
        self.change_quotas(campaign_no, "code", limits.per_code).await?;
        self.change_quotas(campaign_no, "identity", limits.per_identity).await?;
        let Some(old) = old else { return Ok(()) };
        if old.limits.per_code == 0 && limits.per_code > 0 {
            self.seed_codes(campaign_no, limits.per_code).await?;
        }
        if old.limits.per_identity == 0 && limits.per_identity > 0 {
            self.seed_identities(campaign_no, limits.per_identity, key).await?;
        }
        Ok(())
    }

    /// Counts the uses of a campaign's codes, those of removed redemptions included.
    async fn count_uses(&mut self, campaign_no: i64) -> Result<Uses, StoreError> {
        let sql = format!("select count(*) {COUNTING}");
        let uses: u64 = unsigned("redemptions", self.query(sql).bind(campaign_no).fetch_value::<i64>().await?)?;
        let pruned = self.sum_pruned(campaign_no, "redeemed", "").await?;
        Ok(Uses { taken: uses + pruned, pruned })
    }

    async fn sum_discounts(&mut self, campaign_no: i64, currency: &str) -> Result<Uses, StoreError> {
        let sql = format!("select coalesce({}, 0) {COUNTING} and r.currency = $2", bounded_sum("r.discount"));
        let sum: i64 = self.query(sql).bind(campaign_no).bind(currency).fetch_value().await?;
        let sum: u64 = unsigned("redemptions", sum)?;
        let pruned = self.sum_pruned(campaign_no, "discount", currency).await?;
        Ok(Uses { taken: sum + pruned, pruned })
    }

    /// Returns what removed redemptions had added to a sum.
    async fn sum_pruned(&mut self, campaign_no: i64, metric: &str, currency: &str) -> Result<u64, StoreError> {
        let sql = format!(
            "select coalesce({}, 0)
               from (select campaign_no, metric, currency, amount from tallies
                     union all
                     select campaign_no, metric, currency, amount from tally_deltas) changes
              where campaign_no = $1 and metric = $2 and currency = $3",
            bounded_sum("amount")
        );
        let query = self.query(sql).bind(campaign_no).bind(format!("{PRUNED}{metric}")).bind(currency);
        unsigned("tallies", query.fetch_value::<i64>().await?)
    }

    /// Returns the uses of the code, or by the identity, with most of them.
    async fn find_most_uses(&mut self, campaign_no: i64, column: &str) -> Result<u64, StoreError> {
        let sql = format!(
            "select coalesce(max(uses), 0) from (select count(*) as uses {COUNTING} and r.{column} is not null group by r.{column}) counts"
        );
        unsigned("redemptions", self.query(sql).bind(campaign_no).fetch_value::<i64>().await?)
    }

    async fn seed_codes(&mut self, campaign_no: i64, quota: u64) -> Result<(), StoreError> {
        let sql = format!(
            "insert into allowances (campaign_no, scope, subject, quota, taken)
             select $1, 'code', r.code, $2, count(*) {COUNTING} group by r.code"
        );
        self.query(sql).bind(campaign_no).bind(quota.cast_signed()).execute().await?;
        Ok(())
    }

    /// Identities are counted under their digests, which only this process can compute.
    async fn seed_identities(&mut self, campaign_no: i64, quota: u64, key: &IdentityKey) -> Result<(), StoreError> {
        let sql = format!("select r.identity, count(*) {COUNTING} and r.identity is not null group by r.identity");
        let rows: Vec<(String, i64)> = self.query(sql).bind(campaign_no).fetch_all().await?;
        let mut uses: BTreeMap<Subject, u64> = BTreeMap::new();
        for (identity, count) in rows {
            let subject = key.digest_of_stored(&identity);
            let subject = Subject { scope: Scope::Identity, campaign_no, subject };
            *uses.entry(subject).or_default() += unsigned::<i64, u64>("redemptions", count)?;
        }
        let rows: Vec<NewAllowance> =
            uses.into_iter().map(|(subject, taken)| NewAllowance { subject, quota, taken }).collect();
        for rows in rows.chunks(SEEDED_AT_ONCE) {
            self.insert_allowances(rows).await?;
        }
        Ok(())
    }

    /// Makes the row of a limit have this quota; `uses` is what counts if there was none. 0 is unlimited.
    async fn put_limit(
        &mut self,
        campaign_no: i64,
        scope: &'static str,
        subject: &str,
        quota: u64,
        uses: Uses,
    ) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into allowances (campaign_no, scope, subject, quota, taken, pruned) values ($1, $2, $3, $4, $5, $6)
            on conflict (campaign_no, scope, subject) do update set quota = excluded.quota";
        if quota == 0 {
            return self.change_quotas(campaign_no, scope, 0).await;
        }
        let insert = self.query(SQL).bind(campaign_no).bind(scope).bind(subject);
        insert.bind(quota as i64).bind(uses.taken as i64).bind(uses.pruned as i64).execute().await?;
        Ok(())
    }

    async fn change_quotas(&mut self, campaign_no: i64, scope: &'static str, quota: u64) -> Result<(), StoreError> {
        let sql = match quota {
            0 => "delete from allowances where campaign_no = $1 and scope = $2",
            _ => "update allowances set quota = $3 where campaign_no = $1 and scope = $2",
        };
        let change = self.query(sql).bind(campaign_no).bind(scope);
        if quota == 0 { change } else { change.bind(quota as i64) }.execute().await?;
        Ok(())
    }

    /// Counts the codes that are issued, and those that unfinished jobs will issue to the identities of their lists.
    async fn count_issued(&mut self, campaign_no: i64) -> Result<u64, StoreError> {
        const SQL: &str = "
            select (select count(*) from assignments where campaign_no = $1)
                 + (select cast(coalesce(sum(j.count - (select coalesce(sum(c.minted), 0) from chunks c where c.job_no = j.no)), 0)
                                as bigint)
                      from jobs j
                     where j.campaign = (select name from campaigns where no = $1)
                       and j.list_id is not null and j.state in ('queued', 'running', 'cancelling'))";
        unsigned("assignments", self.query(SQL).bind(campaign_no).fetch_value::<i64>().await?)
    }
}
