//! Withdrawing imports: removes the codes of an import from the store, run by run. The only statement that deletes codes is
//! here. The job stays, as `cancelled` with the error `withdrawn`, which every version of the program reads; its events and
//! its audit entries stay, too.

use std::collections::HashSet;

use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::records::rows::unsigned;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::State;
use codemint_codes::job::withdrawal::{NotWithdrawable, Withdrawal, decide_withdrawal, withdrawal_error};
use codemint_telemetry::failpoint;

/// The number of redeemed codes that are looked up at once.
const REDEEMED_AT_ONCE: i64 = 10_000;

/// The result of one step of a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithdrawalStep {
    /// The codes of one run were removed; others are left.
    Advanced { codes: u64 },
    /// The codes of the last run were removed.
    Completed { codes: u64 },
    /// All codes were withdrawn before: nothing was changed.
    Repeated,
    /// Nothing was changed.
    Refused(NotWithdrawable),
    /// This number of its codes is issued to identities: nothing was changed.
    Issued { codes: u64 },
    /// This number of its codes was redeemed: nothing was changed.
    Redeemed { codes: u64 },
    /// This import may have left out codes because they existed in the import to withdraw: nothing was changed.
    NeededBy(Uuid),
}

/// A run of the import whose codes are in the store.
#[derive(FromRow)]
struct DoneRun {
    run_no: i64,
    mask_no: i64,
    range_first: String,
    range_last: String,
    minted: i32,
}

impl Store {
    /// Removes the codes of one run of an import, in a transaction with the record of it. To be repeated until it returns
    /// anything but `Advanced`, also after a crash.
    pub async fn withdraw_run(&self, job_no: i64) -> Result<WithdrawalStep, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let step = transaction.withdraw_run(job_no).await?;
        if let WithdrawalStep::Advanced { .. } | WithdrawalStep::Completed { .. } = step {
            reach(failpoint::BEFORE_COMMIT).await?;
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(step)
    }
}

impl StoreTransaction {
    async fn withdraw_run(&mut self, job_no: i64) -> Result<WithdrawalStep, StoreError> {
        // No other import of such codes begins before the end of this transaction.
        for length in self.code_lengths_of(job_no).await? {
            self.lock_admissions(unsigned("masks", length)?).await?;
        }
        let campaign = self.read_job(job_no).await?.campaign;
        self.share_campaign_names(&campaign.iter().map(String::as_str).collect()).await?;
        self.query("select no from jobs where no = $1 for update").bind(job_no).execute().await?;
        let job = self.read_job(job_no).await?;
        let withdrawal = match decide_withdrawal(&job) {
            Ok(Withdrawal::Done) => return Ok(WithdrawalStep::Repeated),
            Ok(withdrawal) => withdrawal,
            Err(why) => return Ok(WithdrawalStep::Refused(why)),
        };
        if let Some(other) = self.find_import_in_need_of(job_no).await? {
            return Ok(WithdrawalStep::NeededBy(other));
        }
        // All at once, so that none is issued between two steps. None is redeemed either: a redemption of an imported
        // code looks whether the withdrawal has begun.
        if let (Withdrawal::Begins, Some(campaign)) = (withdrawal, &campaign) {
            let redeemed = self.count_redeemed_codes(job_no, campaign).await?;
            if redeemed > 0 {
                return Ok(WithdrawalStep::Redeemed { codes: redeemed });
            }
            let issued = self.take_codes_out_of_pool(job_no, campaign).await?;
            if issued > 0 {
                return Ok(WithdrawalStep::Issued { codes: issued });
            }
        }
        let codes = self.delete_codes_of_next_run(job_no).await?;
        let left = job.minted.saturating_sub(codes);
        self.record_withdrawal(&job, withdrawal, left).await?;
        Ok(if left > 0 { WithdrawalStep::Advanced { codes } } else { WithdrawalStep::Completed { codes } })
    }

    /// Counts the codes of an import that were redeemed. Nobody redeems codes of the campaign until the end of the transaction.
    async fn count_redeemed_codes(&mut self, job_no: i64, campaign: &str) -> Result<u64, StoreError> {
        // Statements of their own: codes may be distributed over nodes, where the other tables are not.
        const REDEEMED: &str = "
            select distinct code from redemptions where campaign_no = $1 and code > $2 order by code limit $3";
        const STORED: &str = "select run_no from codes where code = any($1)";
        const RUNS: &str = "select run_no from chunks where job_no = $1";
        let no =
            self.query("select no from campaigns where name = $1").bind(campaign).fetch_optional::<(i64,)>().await?;
        let Some((campaign_no,)) = no else { return Ok(0) };
        self.lock_campaign_no(campaign_no).await?;
        let runs: HashSet<i64> = self.query(RUNS).bind(job_no).fetch_values().await?.into_iter().collect();
        let (mut count, mut after) = (0, String::new());
        loop {
            let query = self.query(REDEEMED).bind(campaign_no).bind(after.clone()).bind(REDEEMED_AT_ONCE);
            let redeemed: Vec<String> = query.fetch_values().await?;
            let Some(last) = redeemed.last() else { return Ok(count) };
            after.clone_from(last);
            self.plan_look_ups().await?;
            let stored: Vec<i64> = self.query(STORED).bind(List(&redeemed)).fetch_values().await?;
            count += stored.iter().filter(|run_no| runs.contains(run_no)).count() as u64;
        }
    }

    /// Returns the lengths of the job's codes, ascending.
    async fn code_lengths_of(&mut self, job_no: i64) -> Result<Vec<i32>, StoreError> {
        const SQL: &str = "
            select distinct code_length from masks
             where mask_no in (select mask_no from chunks where job_no = $1)
             order by code_length";
        self.query(SQL).bind(job_no).fetch_values().await
    }

    /// Returns an import that could have met codes of this one and left them out: one that is unfinished, or that left out codes
    /// that existed, and was stored or ended after this one was stored. Withdrawing those codes would take them from both.
    async fn find_import_in_need_of(&mut self, job_no: i64) -> Result<Option<Uuid>, StoreError> {
        const SQL: &str = "
            select j.id
              from jobs j
             where j.kind = 'import' and j.no <> $1
               and (j.finished_at is null
                    or j.rejected > 0
                       and not (coalesce(j.error_code, '') = 'withdrawn' and j.minted = 0)
                       and (j.no > $1 or j.finished_at >= (select created_at from jobs where no = $1)))
               and exists (select 1
                             from masks theirs
                             join masks ours on theirs.code_length = ours.code_length
                                            and theirs.first_code <= ours.last_code and theirs.last_code >= ours.first_code
                            where theirs.mask_no in (select mask_no from chunks where job_no = j.no)
                              and ours.mask_no in (select mask_no from chunks where job_no = $1))
             order by j.no
             limit 1";
        let found: Option<(Uuid,)> = self.query(SQL).bind(job_no).fetch_optional().await?;
        Ok(found.map(|(id,)| id))
    }

    /// Deletes the codes of the first run that has any, and turns the run `skipped`, as if it had never been written: nothing
    /// that looks for codes finds it. Returns the number of codes.
    async fn delete_codes_of_next_run(&mut self, job_no: i64) -> Result<u64, StoreError> {
        const NEXT: &str = "
            select run_no, mask_no, range_first, range_last, minted
              from chunks
             where job_no = $1 and state = 'done' and minted > 0
             order by round, chunk_no
             limit 1";
        const DELETE: &str = "delete from codes where run_no = $1 and code between $2 and $3";
        const SKIP: &str = "
            update chunks set state = 'skipped', minted = 0, digest = null, filter = null where run_no = $1";
        let next: Option<DoneRun> = self.query(NEXT).bind(job_no).fetch_optional().await?;
        let Some(DoneRun { run_no, mask_no, range_first, range_last, minted }) = next else { return Ok(0) };
        let codes: u64 = unsigned("chunks", minted)?;
        self.plan_look_ups().await?;
        let delete = self.query(DELETE).bind(run_no).bind(range_first).bind(range_last);
        require_rows("the withdrawal of a run", delete.execute().await?, codes)?;
        require_rows("the withdrawal of a run", self.query(SKIP).bind(run_no).execute().await?, 1)?;
        self.release_mask(mask_no, codes).await?;
        Ok(codes)
    }

    /// Records what is left of the job: its count is the number of its rows after every step.
    async fn record_withdrawal(&mut self, job: &Job, withdrawal: Withdrawal, left: u64) -> Result<(), StoreError> {
        const SQL: &str = "
            update jobs set state = $2, minted = $3, digest = $4, error_code = $5, error_message = $6 where no = $1";
        let (digest, error) = (self.digest_of_job(job.no).await?, withdrawal_error(left));
        let update = self.query(SQL).bind(job.no).bind(State::Cancelled.into_str()).bind(left as i64);
        let update = update.bind(&digest[..]).bind(error.code).bind(error.message);
        require_rows("the withdrawal of an import", update.execute().await?, 1)?;
        let entry = |outcome, count| AuditEntry { count, ..AuditEntry::of_job(Action::Withdraw, outcome, job) };
        let begun = (withdrawal == Withdrawal::Begins).then(|| entry(Outcome::Begun, Some(job.minted)));
        let done = (left == 0).then(|| entry(Outcome::Done, None));
        self.put_audit(&begun.into_iter().chain(done).collect::<Vec<_>>()).await
    }
}
