//! The limits of a campaign as rows of `allowances`. The lock of the campaign is held.

use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_offers::campaign::change::Taken;
use codemint_offers::campaign::definition::Definition;

impl StoreTransaction {
    /// Returns what is taken of the limits of a campaign, also of those that are unlimited and have no rows.
    pub(crate) async fn find_taken(&mut self, campaign_no: i64) -> Result<Taken, StoreError> {
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
        Ok(taken)
    }

    /// Makes the rows agree with the definition, which was checked against what is taken.
    pub(crate) async fn put_limits(&mut self, campaign_no: i64, definition: &Definition) -> Result<(), StoreError> {
        let limits = &definition.limits;
        let issued = self.count_issued(campaign_no).await?;
        self.put_limit(campaign_no, "campaign", "", limits.redeemed, 0).await?;
        self.put_limit(campaign_no, "issued", "", limits.issued, issued).await?;
        let (currency, budget) =
            limits.budget.map_or(("", 0), |budget| (budget.currency.code(), budget.amount.unsigned_abs()));
        self.query("delete from allowances where campaign_no = $1 and scope = 'budget' and subject <> $2")
            .bind(campaign_no)
            .bind(currency)
            .execute()
            .await?;
        self.put_limit(campaign_no, "budget", currency, budget, 0).await?;
        // Their rows are made at the first use.
        self.change_quotas(campaign_no, "code", limits.per_code).await?;
        self.change_quotas(campaign_no, "identity", limits.per_identity).await
    }

    /// Makes the row of a limit have this quota; `taken` is what counts if there was none. 0 is unlimited.
    async fn put_limit(
        &mut self,
        campaign_no: i64,
        scope: &'static str,
        subject: &str,
        quota: u64,
        taken: u64,
    ) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into allowances (campaign_no, scope, subject, quota, taken) values ($1, $2, $3, $4, $5)
            on conflict (campaign_no, scope, subject) do update set quota = excluded.quota";
        if quota == 0 {
            return self.change_quotas(campaign_no, scope, 0).await;
        }
        let insert = self.query(SQL).bind(campaign_no).bind(scope).bind(subject);
        insert.bind(quota as i64).bind(taken as i64).execute().await?;
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
