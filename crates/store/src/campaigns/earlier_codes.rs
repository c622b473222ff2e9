//! Codes of campaigns with a pool that no job for the campaign has stored: those that are older than the campaign, and
//! imported ones. They are in its pool like all others.

use sqlx::FromRow;
use uuid::Uuid;

use crate::campaigns::definitions::definition_of;
use crate::connection::error::{StoreError, require_rows};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_codes::job::state::JobError;

/// The maximum number of unfinished jobs that are listed.
const UNFINISHED_MAX: i64 = 20;

/// Finds a campaign. Kind and purpose are the same in all versions.
const WITH_TERMS: &str = "
    select p.no, cast(v.definition as text)
      from campaigns p
      join campaign_versions v on v.campaign_no = p.no and v.version = 1
     where p.name = $1 and p.kind <> 'public'";

/// Returns the number of a campaign if it has a pool.
fn pooled(found: Option<(i64, String)>) -> Result<Option<i64>, StoreError> {
    let Some((no, definition)) = found else { return Ok(None) };
    Ok(definition_of(&definition)?.has_pool().then_some(no))
}

/// A run whose codes are in the store.
#[derive(FromRow)]
struct StoredRun {
    run_no: i64,
    range_first: String,
    range_last: String,
    minted: i32,
}

impl Store {
    /// Returns the number of a campaign that has a pool; `None` if no such campaign has this name.
    pub async fn find_pooled(&self, campaign: &str) -> Result<Option<i64>, StoreError> {
        pooled(self.query(WITH_TERMS).bind(campaign).fetch_optional().await?)
    }
}

impl StoreTransaction {
    /// Does the same as [`Store::find_pooled`].
    pub(crate) async fn find_pooled(&mut self, campaign: &str) -> Result<Option<i64>, StoreError> {
        pooled(self.query(WITH_TERMS).bind(campaign).fetch_optional().await?)
    }

    /// Lists unfinished jobs of a campaign's name, oldest first.
    pub(crate) async fn list_unfinished_of(&mut self, campaign: &str) -> Result<Vec<Uuid>, StoreError> {
        const SQL: &str = "
            select id from jobs
             where campaign = $1 and state in ('queued', 'running', 'cancelling')
             order by no
             limit $2";
        let rows: Vec<(Uuid,)> = self.query(SQL).bind(campaign).bind(UNFINISHED_MAX).fetch_all().await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Puts the codes of all jobs of a campaign's name into its pool: the campaign is new, so they are nobody's. Not the codes
    /// of imports that are being withdrawn.
    pub(crate) async fn put_earlier_codes_into_pool(
        &mut self,
        campaign_no: i64,
        campaign: &str,
    ) -> Result<(), StoreError> {
        const RUNS: &str = "
            select run_no, range_first, range_last, minted from chunks
             where job_no in (select no from jobs where campaign = $1 and coalesce(error_code, '') <> $2)
               and state = 'done' and minted > 0
             order by run_no";
        const INSERT: &str = "
            insert into pool (campaign_no, code)
            select $1, code from codes where run_no = $2 and code between $3 and $4";
        let runs: Vec<StoredRun> = self.query(RUNS).bind(campaign).bind(JobError::WITHDRAWN).fetch_all().await?;
        if !runs.is_empty() {
            self.plan_look_ups().await?;
        }
        // Run by run, as everything reads codes: no index has run numbers, and a join of ranges could read the whole table.
        for StoredRun { run_no, range_first, range_last, minted } in runs {
            let insert = self.query(INSERT).bind(campaign_no).bind(run_no).bind(range_first).bind(range_last);
            require_rows("the insert into the pool", insert.execute().await?, unsigned("chunks", minted)?)?;
        }
        Ok(())
    }

    /// Takes all codes of a job out of the pool of its campaign, if it has one. Returns how many codes are not there
    /// because they are issued to identities; then the transaction has to be rolled back.
    pub(crate) async fn take_codes_out_of_pool(&mut self, job_no: i64, campaign: &str) -> Result<u64, StoreError> {
        const RUNS: &str = "
            select run_no, range_first, range_last, minted from chunks
             where job_no = $1 and state = 'done' and minted > 0
             order by run_no";
        const DELETE: &str = "
            delete from pool
             where campaign_no = $1 and code between $3 and $4
               and code in (select code from codes where run_no = $2 and code between $3 and $4)";
        let Some(campaign_no) = self.find_pooled(campaign).await? else { return Ok(0) };
        let runs: Vec<StoredRun> = self.query(RUNS).bind(job_no).fetch_all().await?;
        self.plan_look_ups().await?;
        let mut issued = 0;
        for StoredRun { run_no, range_first, range_last, minted } in runs {
            let delete = self.query(DELETE).bind(campaign_no).bind(run_no).bind(range_first).bind(range_last);
            let pooled = delete.execute().await?;
            issued += unsigned::<_, u64>("chunks", minted)?.saturating_sub(pooled);
        }
        Ok(issued)
    }
}
