//! The steps that close a job in one transaction. The module `job` decides; this module carries out the decision.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::connection::blocking::off_the_async_threads;
use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use crate::minting::chunks::key_of_bytes;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::records::rows::{RejectionsRow, TallyRow, restriction_of, unsigned};
use codemint_codes::job::plan::{Closing, PlannedChunk, decide_closing, plan_round};
use codemint_codes::job::record::Job;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::{JobError, State};
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::random::Key;
use codemint_codes::wire::event::EventKind;

/// The result of an attempt to close a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseJob {
    /// The job has ended: `Some` if this attempt ended it, `None` if it had ended before.
    Ended(Option<JobEnd>),
    /// A further round was planned for the missing codes: there are chunks to claim.
    NextRound,
    /// Chunks are open, and other workers are writing them; or the job waits for room.
    ChunksOpen,
}

/// The end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobEnd {
    pub state: State,
    pub minted: u64,
    pub rejected: u64,
    /// The result of [`job_digest`].
    pub digest: [u8; 32],
    /// The time since the start; `None` if the job was never started.
    pub run_time: Option<Duration>,
}

impl JobEnd {
    fn of(job: &Job, digest: [u8; 32]) -> Self {
        let run_time = job.started_at.zip(job.finished_at).map(|(started, finished)| time_between(started, finished));
        Self { state: job.state, minted: job.minted, rejected: job.rejections.total(), digest, run_time }
    }
}

/// The columns of a job's row that closing needs, read under its lock.
#[derive(sqlx::FromRow)]
struct OpenJobRow {
    state: String,
    mask_no: Option<i64>,
    canonical_mask: Option<String>,
    count: i64,
    chunk_size: i32,
    key: Option<Vec<u8>>,
    progress_told: bool,
    waits: bool,
    restricted_to: Option<String>,
    list_id: Option<Uuid>,
    campaign: Option<String>,
}

const TALLY: &str = "
    select count(case when state = 'open' then 1 end) as open,
           cast(coalesce(sum(minted), 0) as bigint) as minted,
           cast(coalesce(sum(rejected), 0) as bigint) as rejected,
           cast(coalesce(sum(conflicts), 0) as bigint) as conflicts,
           cast(coalesce(sum(reserved), 0) as bigint) as reserved,
           cast(coalesce(sum(denied), 0) as bigint) as denied,
           cast(coalesce(sum(false_positives), 0) as bigint) as false_positives,
           coalesce(max(round), 0) as last_round,
           cast(coalesce(sum(case when round = (select max(round) from chunks where job_no = $1) then minted end), 0) as bigint)
               as last_round_minted
      from chunks
     where job_no = $1";

const DIGESTS: &str = "select digest from chunks where job_no = $1 and state = 'done' order by round, chunk_no";

impl StoreTransaction {
    pub(crate) async fn close_job(&mut self, job_no: i64, failure: Option<JobError>) -> Result<CloseJob, StoreError> {
        let Some(job) = OpenJob::from_row(self.lock_job(job_no).await?)? else { return Ok(CloseJob::Ended(None)) };
        if job.state == State::Cancelling || failure.is_some() {
            // This waits for the row locks of chunks that are being written; they turn out to be done and stay.
            let sql = "update chunks set state = 'skipped' where job_no = $1 and state = 'open'";
            self.query(sql).bind(job_no).execute().await?;
        }
        let tally = self.tally(job_no).await?;
        if tally.open > 0 || job.waits && job.state == State::Queued && failure.is_none() {
            return Ok(CloseJob::ChunksOpen);
        }
        let mut sums = tally.checked()?;
        if job.plan.is_none() {
            sums.imported_before = tally.rejections.rejected as u64;
        }
        match (decide_closing(job.state, failure, job.count, sums), job.plan) {
            (Closing::NextRound { round, count }, Some(plan)) => {
                let chunks = plan.round(round, count).await;
                self.insert_chunks(plan.mask_no, round, &[(job_no, &chunks)]).await?;
                Ok(CloseJob::NextRound)
            }
            (Closing::NextRound { .. }, None) => Err(StoreError::Corrupt {
                table: "chunks",
                problem: "the chunks of an import add up to fewer codes than the import".to_owned(),
            }),
            (Closing::End { state, error }, plan) => {
                match plan {
                    Some(plan) => self.release_mask(plan.mask_no, job.count - sums.minted).await?,
                    None => self.release_masks_of_import(job_no).await?,
                }
                if let Some((list_id, campaign)) = &job.list {
                    self.end_list(*list_id, campaign, job.count - sums.minted).await?;
                }
                let progress_owed = !job.progress_told && tally.minted > 0;
                let digest = self.end_job(job_no, state, error, &tally).await?;
                let job = self.read_job(job_no).await?;
                self.put_audit(&[end_entry(&job)]).await?;
                if job.options.emits_events {
                    self.put_end_event(&job, progress_owed).await?;
                }
                Ok(CloseJob::Ended(Some(JobEnd::of(&job, digest))))
            }
        }
    }

    /// Locks the job's row: if two writers finish the last two chunks at once, the second waits and then sees both.
    async fn lock_job(&mut self, job_no: i64) -> Result<OpenJobRow, StoreError> {
        const SQL: &str = "
            select state, mask_no, canonical_mask, count, chunk_size, key, progress_at is not null as progress_told,
                   kind = 'waiting' as waits, restricted_to, list_id, campaign
              from jobs
             where no = $1
               for update";
        self.query(SQL).bind(job_no).fetch_one().await
    }

    async fn tally(&mut self, job_no: i64) -> Result<TallyRow, StoreError> {
        self.query(TALLY).bind(job_no).fetch_one().await
    }

    /// Ends the job with its final counts and returns the digest of its codes.
    async fn end_job(
        &mut self,
        job_no: i64,
        state: State,
        error: Option<JobError>,
        tally: &TallyRow,
    ) -> Result<[u8; 32], StoreError> {
        const SQL: &str = "
            update jobs set state = $2, error_code = $3, error_message = $4, minted = $5, rejected = $6, conflicts = $7,
                            reserved = $8, denied = $9, false_positives = $10, digest = $11, key = null, finished_at = now(),
                            waits_for = null,
                            kind = case when kind <> 'waiting' then kind
                                        when restricted_to is null then 'mint' else 'restricted' end
             where no = $1";
        let digest = self.digest_of_job(job_no).await?;
        let (code, message) = error.map(|error| (error.code, error.message)).unzip();
        let RejectionsRow { rejected, conflicts, reserved, denied, false_positives } = tally.rejections;
        let update = self.query(SQL).bind(job_no).bind(state.into_str()).bind(code).bind(message).bind(tally.minted);
        let update = update.bind(rejected).bind(conflicts).bind(reserved).bind(denied).bind(false_positives);
        update.bind(&digest[..]).execute().await?;
        Ok(digest)
    }

    pub(crate) async fn digest_of_job(&mut self, job_no: i64) -> Result<[u8; 32], StoreError> {
        Ok(job_digest(&self.query(DIGESTS).bind(job_no).fetch_values().await?))
    }

    /// Writes the event of the end. A job of one chunk ends before any progress event: then that comes first.
    async fn put_end_event(&mut self, job: &Job, progress_owed: bool) -> Result<(), StoreError> {
        let (Some(kind), Some(time)) = (EventKind::of_end(job.state), job.finished_at) else { return Ok(()) };
        let reply_to = job.options.reply_to.as_deref();
        if !progress_owed {
            return self.put_events(&[(kind, job)], time, reply_to).await;
        }
        let before = Job { state: State::Running, digest: None, error: None, finished_at: None, ..job.clone() };
        self.put_events(&[(EventKind::Progress, &before), (kind, job)], time, reply_to).await
    }

    /// Frees the codes that the job will no longer mint. The mask's row is updated only if a job ends short; otherwise
    /// all jobs of the mask would wait for this row.
    pub(crate) async fn release_mask(&mut self, mask_no: i64, codes: u64) -> Result<(), StoreError> {
        if codes > 0 {
            let update = self.query("update masks set codes = codes - $2 where mask_no = $1");
            update.bind(mask_no).bind(codes as i64).execute().await?;
        }
        Ok(())
    }

    async fn release_masks_of_import(&mut self, job_no: i64) -> Result<(), StoreError> {
        let sql = "update masks
                      set codes = codes - (select sum(quota - minted) from chunks c
                                            where c.job_no = $1 and c.mask_no = masks.mask_no)
                    where mask_no in (select mask_no from chunks where job_no = $1)";
        self.query(sql).bind(job_no).execute().await?;
        Ok(())
    }
}

/// A job that has not ended.
struct OpenJob {
    state: State,
    count: u64,
    /// Whether a progress event was written.
    progress_told: bool,
    /// Whether it waits for room.
    waits: bool,
    /// The identities that its codes go to, and the campaign.
    list: Option<(Uuid, String)>,
    /// `None` for an import.
    plan: Option<RoundPlan>,
}

/// The data from which a further round is planned.
struct RoundPlan {
    mask_no: i64,
    mask: Mask,
    chunk_size: u32,
    key: Key,
}

impl RoundPlan {
    /// Plans a round on a blocking thread, because many chunks take a while.
    async fn round(&self, round: u32, count: u64) -> Vec<PlannedChunk> {
        let (keyspace, key, chunk_size) = (Keyspace::new(&self.mask), self.key.clone(), self.chunk_size);
        off_the_async_threads(move || plan_round(&keyspace, &key, round, count, chunk_size).collect()).await
    }
}

impl OpenJob {
    /// Returns `None` if the job has ended.
    fn from_row(row: OpenJobRow) -> Result<Option<Self>, StoreError> {
        let corrupt = |problem: String| StoreError::Corrupt { table: "jobs", problem };
        let state: State = row.state.parse().map_err(corrupt)?;
        if state.is_final() {
            return Ok(None);
        }
        let (count, progress_told, waits) = (unsigned("jobs", row.count)?, row.progress_told, row.waits);
        let list = match restriction_of(row.restricted_to.as_deref(), row.list_id).map_err(corrupt)? {
            Some(RestrictedTo::List { list_id }) => Some((list_id, row.campaign.unwrap_or_default())),
            Some(RestrictedTo::Pool) | None => None,
        };
        let (Some(mask_no), Some(mask)) = (row.mask_no, row.canonical_mask) else {
            return Ok(Some(Self { state, count, progress_told, waits, list, plan: None }));
        };
        let plan = RoundPlan {
            mask_no,
            mask: mask.parse().map_err(|error| corrupt(format!("{error}")))?,
            chunk_size: unsigned("jobs", row.chunk_size)?,
            key: key_of_bytes(row.key.ok_or_else(|| corrupt("an unfinished job has no key".to_owned()))?)?,
        };
        Ok(Some(Self { state, count, progress_told, waits, list, plan: Some(plan) }))
    }
}

fn end_entry(job: &Job) -> AuditEntry {
    let outcome = match job.state {
        State::Cancelled => Outcome::Cancelled,
        State::Failed => Outcome::Failed,
        _ => Outcome::Completed,
    };
    let detail = job.error.as_ref().map(|error| error.code.clone());
    let entry = AuditEntry::of_job(Action::End, outcome, job);
    AuditEntry { count: Some(job.minted), detail, digest: job.digest.clone(), ..entry }
}

/// Returns the SHA-256 over the digests of the done chunks, in order of round and chunk.
pub fn job_digest(chunk_digests: &[Vec<u8>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    chunk_digests.iter().for_each(|chunk| digest.update(chunk));
    digest.finalize().into()
}

/// Returns zero if the clock was set back between the two times.
pub(crate) fn time_between(earlier: DateTime<Utc>, later: DateTime<Utc>) -> Duration {
    (later - earlier).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::time_between;

    #[test]
    fn no_time_passes_while_the_clock_is_set_back() {
        let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
        let at = |seconds| DateTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (earlier, later, between) in [
            (at(5), at(7), Duration::from_secs(2)),
            (at(7), at(7), Duration::ZERO),
            (at(7), at(5), Duration::ZERO),
            (last, first, Duration::ZERO),
        ] {
            assert_eq!(time_between(earlier, later), between, "from {earlier} to {later}");
        }
    }
}
