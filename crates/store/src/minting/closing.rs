//! State changes of jobs: start, cancel, close. The module `job` decides; this module carries out the decision.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::connection::blocking::off_the_async_threads;
use crate::connection::error::{StoreError, reach};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::minting::chunks::key_of_bytes;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::records::rows::{RejectionsRow, TallyRow, unsigned};
use codemint_codes::job::plan::{Closing, PlannedChunk, decide_closing, plan_round};
use codemint_codes::job::record::Job;
use codemint_codes::job::state::{JobError, State};
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::random::Key;
use codemint_codes::wire::event::EventKind;
use codemint_telemetry::failpoint;

/// The result of an attempt to close a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseJob {
    /// The job has ended: `Some` if this attempt ended it, `None` if it had ended before.
    Ended(Option<JobEnd>),
    /// A further round was planned for the missing codes: there are chunks to claim.
    NextRound,
    /// Chunks are open, and other workers are writing them.
    ChunksOpen,
}

impl CloseJob {
    pub const fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
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

/// The result of starting a job.
#[derive(Debug)]
pub struct StartJob {
    /// The result of [`Store::read_key`].
    pub key: Option<Key>,
    /// How long the job had waited, if this call started it; all other processes find it running.
    pub waited: Option<Duration>,
}

#[derive(sqlx::FromRow)]
struct StartedRow {
    key: Option<Vec<u8>>,
    created_at: DateTime<Utc>,
    started_at: DateTime<Utc>,
}

/// The id, mask, count and campaign of a job to cancel.
type CancelledRow = (Uuid, Option<String>, i64, Option<String>);

/// The columns of a job's row that closing needs, read under its lock.
#[derive(sqlx::FromRow)]
struct OpenJobRow {
    id: Uuid,
    state: String,
    mask_no: Option<i64>,
    canonical_mask: Option<String>,
    count: i64,
    campaign: Option<String>,
    chunk_size: i32,
    key: Option<Vec<u8>>,
    announced: bool,
    progress_told: bool,
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

impl Store {
    /// Turns a `queued` job `running`; any other state stays.
    pub async fn start_job(&self, job_no: i64) -> Result<StartJob, StoreError> {
        // Not flushed to disk: a job that is queued again after a crash is started again.
        let mut transaction = self.begin_writing_unflushed().await?;
        let update = transaction.query(
            "update jobs set state = 'running', started_at = now() where no = $1 and state = 'queued'
             returning key, created_at, started_at",
        );
        let started: Option<StartedRow> = update.bind(job_no).fetch_optional().await?;
        transaction.commit().await?;
        let waited = started.as_ref().map(|row| time_between(row.created_at, row.started_at));
        let key = match started.and_then(|row| row.key) {
            Some(bytes) => Some(key_of_bytes(bytes)?),
            None => self.read_key(job_no).await?,
        };
        Ok(StartJob { key, waited })
    }

    /// Stores the trace of a job that has none yet: the first request wins.
    pub async fn keep_trace(&self, job_no: i64, traceparent: &str) -> Result<(), StoreError> {
        const SQL: &str = "update jobs set traceparent = $2 where no = $1 and traceparent is null";
        let mut transaction = self.begin_writing_unflushed().await?;
        transaction.query(SQL).bind(job_no).bind(traceparent).execute().await?;
        transaction.commit().await
    }

    /// Requests the cancellation of a job: from now on no worker claims a chunk of it. [`Store::close_job`] ends it.
    pub async fn mark_job_cancelling(&self, job_no: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.mark_job_cancelling(job_no).await?;
        transaction.commit().await
    }

    /// Ends a job without open chunks, or plans the next round for the missing codes. A job that is being cancelled
    /// loses its open chunks first; chunks that are being written are waited for and count.
    pub async fn close_job(&self, job_no: i64) -> Result<CloseJob, StoreError> {
        self.close_job_with(job_no, None).await
    }

    pub(crate) async fn close_job_with(&self, job_no: i64, failure: Option<JobError>) -> Result<CloseJob, StoreError> {
        reach(failpoint::BEFORE_CLOSE).await?;
        let mut transaction = self.begin_writing().await?;
        let closed = transaction.close_job(job_no, failure).await?;
        transaction.commit().await?;
        Ok(closed)
    }
}

impl StoreTransaction {
    pub(crate) async fn mark_job_cancelling(&mut self, job_no: i64) -> Result<(), StoreError> {
        const SQL: &str = "
            update jobs set state = 'cancelling' where no = $1 and state in ('queued', 'running')
            returning id, canonical_mask, count, campaign";
        let cancelled: Option<CancelledRow> = self.query(SQL).bind(job_no).fetch_optional().await?;
        // Repeated cancel requests are no-ops.
        let Some((id, mask, count, campaign)) = cancelled else { return Ok(()) };
        let mut entry = entry_of(Action::Cancel, Outcome::Accepted, id, mask.as_deref(), campaign);
        entry.count = Some(unsigned("jobs", count)?);
        self.put_audit(&[entry]).await
    }

    pub(crate) async fn close_job(&mut self, job_no: i64, failure: Option<JobError>) -> Result<CloseJob, StoreError> {
        let Some(job) = OpenJob::from_row(self.lock_job(job_no).await?)? else { return Ok(CloseJob::Ended(None)) };
        if job.state == State::Cancelling || failure.is_some() {
            // This waits for the row locks of chunks that are being written; they turn out to be done and stay.
            let sql = "update chunks set state = 'skipped' where job_no = $1 and state = 'open'";
            self.query(sql).bind(job_no).execute().await?;
        }
        let tally = self.tally(job_no).await?;
        if tally.open > 0 {
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
                let progress_owed = job.announced && !job.progress_told && tally.minted > 0;
                let code = error.as_ref().map(|error| error.code.clone());
                let end = self.end_job(job_no, state, error, &tally).await?;
                self.put_audit(&[entry_of_end(job.entry, &end, code)]).await?;
                if job.announced {
                    self.tell_of_end(job_no, progress_owed).await?;
                }
                Ok(CloseJob::Ended(Some(end)))
            }
        }
    }

    /// Locks the job's row: if two writers finish the last two chunks at once, the second waits and then sees both.
    async fn lock_job(&mut self, job_no: i64) -> Result<OpenJobRow, StoreError> {
        const SQL: &str = "
            select id, state, mask_no, canonical_mask, count, campaign, chunk_size, key, announced,
                   progress_at is not null as progress_told
              from jobs
             where no = $1
               for update";
        self.query(SQL).bind(job_no).fetch_one().await
    }

    async fn tally(&mut self, job_no: i64) -> Result<TallyRow, StoreError> {
        self.query(TALLY).bind(job_no).fetch_one().await
    }

    async fn end_job(
        &mut self,
        job_no: i64,
        state: State,
        error: Option<JobError>,
        tally: &TallyRow,
    ) -> Result<JobEnd, StoreError> {
        const SQL: &str = "
            update jobs set state = $2, error_code = $3, error_message = $4, minted = $5, rejected = $6, conflicts = $7,
                            reserved = $8, denied = $9, false_positives = $10, digest = $11, key = null, finished_at = now()
             where no = $1
         returning started_at, finished_at";
        let digests = self.query(DIGESTS).bind(job_no).fetch_values().await?;
        let digest = job_digest(&digests);
        let (code, message) = error.map(|error| (error.code, error.message)).unzip();
        let RejectionsRow { rejected, conflicts, reserved, denied, false_positives } = tally.rejections;
        let update = self.query(SQL).bind(job_no).bind(state.as_str()).bind(code).bind(message).bind(tally.minted);
        let update = update.bind(rejected).bind(conflicts).bind(reserved).bind(denied).bind(false_positives);
        let (started_at, finished_at): (Option<DateTime<Utc>>, DateTime<Utc>) =
            update.bind(&digest[..]).fetch_one().await?;
        let (minted, rejected) = (unsigned("chunks", tally.minted)?, unsigned("chunks", rejected)?);
        let run_time = started_at.map(|started_at| time_between(started_at, finished_at));
        Ok(JobEnd { state, minted, rejected, digest, run_time })
    }

    /// Writes the event of the end. A job of one chunk ends before any progress event: then that comes first.
    async fn tell_of_end(&mut self, job_no: i64, progress_owed: bool) -> Result<(), StoreError> {
        let job = self.read_job(job_no).await?;
        let (Some(kind), Some(time)) = (EventKind::of_end(job.state), job.finished_at) else { return Ok(()) };
        let reply_to = job.options.reply_to.as_deref();
        if !progress_owed {
            return self.put_events(&[(kind, &job)], time, reply_to).await;
        }
        let before = Job { state: State::Running, digest: None, error: None, finished_at: None, ..job.clone() };
        self.put_events(&[(EventKind::Progress, &before), (kind, &job)], time, reply_to).await
    }

    /// Frees the codes that the job will no longer mint. The mask's row is updated only if a job ends short; otherwise
    /// all jobs of the mask would wait for this row.
    async fn release_mask(&mut self, mask_no: i64, codes: u64) -> Result<(), StoreError> {
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
    /// The audit entry to record when the job has ended.
    entry: AuditEntry,
    count: u64,
    announced: bool,
    /// Whether a progress event was written.
    progress_told: bool,
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
        let count = unsigned("jobs", row.count)?;
        let (announced, progress_told) = (row.announced, row.progress_told);
        let mask = row.canonical_mask.as_deref();
        let entry = entry_of(Action::End, Outcome::Completed, row.id, mask, row.campaign);
        let (Some(mask_no), Some(mask)) = (row.mask_no, row.canonical_mask) else {
            return Ok(Some(Self { state, entry, count, announced, progress_told, plan: None }));
        };
        let key = row.key.and_then(|bytes| <[u8; Key::LENGTH_BYTES]>::try_from(bytes).ok()).map(Key::new);
        let plan = RoundPlan {
            mask_no,
            mask: mask.parse().map_err(|error| corrupt(format!("{error}")))?,
            chunk_size: unsigned("jobs", row.chunk_size)?,
            key: key.ok_or_else(|| corrupt("an unfinished job has no key".to_owned()))?,
        };
        Ok(Some(Self { state, entry, count, announced, progress_told, plan: Some(plan) }))
    }
}

fn entry_of(action: Action, outcome: Outcome, id: Uuid, mask: Option<&str>, campaign: Option<String>) -> AuditEntry {
    let mut entry = AuditEntry::new(action, outcome);
    (entry.job_id, entry.campaign) = (Some(id), campaign);
    // An import has no mask.
    mask.map_or(entry.clone(), |mask| entry.of_mask(mask))
}

fn entry_of_end(mut entry: AuditEntry, end: &JobEnd, error_code: Option<String>) -> AuditEntry {
    entry.outcome = match end.state {
        State::Cancelled => Outcome::Cancelled,
        State::Failed => Outcome::Failed,
        _ => Outcome::Completed,
    };
    (entry.count, entry.detail, entry.digest) = (Some(end.minted), error_code, Some(end.digest.to_vec()));
    entry
}

/// Returns the SHA-256 over the digests of the done chunks, in order of round and chunk.
pub fn job_digest(chunk_digests: &[Vec<u8>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    chunk_digests.iter().for_each(|chunk| digest.update(chunk));
    digest.finalize().into()
}

/// Returns zero if the clock was set back between the two times.
fn time_between(earlier: DateTime<Utc>, later: DateTime<Utc>) -> Duration {
    (later - earlier).to_std().unwrap_or_default()
}
