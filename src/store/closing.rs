//! How jobs change state: started, cancelled, closed. What is decided is decided in `job`; here it is done.

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::code::keyspace::Keyspace;
use crate::code::mask::Mask;
use crate::code::random::Key;
use crate::job::{Closing, PlannedChunk, State, Tally, decide_closing, plan_round};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::rows::{TallyRow, unsigned};
use crate::store::submit::{insert_chunks_postgres, insert_chunks_sqlite, require_rows};

/// What an attempt to close a job found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseJob {
    /// The job has ended, now or before.
    Ended,
    /// A further round was planned for what is missing: there are chunks to claim.
    NextRound,
    /// Chunks are open, and others are writing them.
    ChunksOpen,
}

/// The columns of a job's row that closing needs, read under its lock.
#[derive(sqlx::FromRow)]
struct OpenJobRow {
    state: String,
    canonical_mask: String,
    count: i64,
    chunk_size: i32,
    key: Option<Vec<u8>>,
}

const TALLY: &str = "
    select count(case when state = 'open' then 1 end) as open,
           cast(coalesce(sum(minted), 0) as bigint) as minted,
           cast(coalesce(sum(rejected), 0) as bigint) as rejected,
           coalesce(max(round), 0) as last_round,
           cast(coalesce(sum(case when round = (select max(round) from chunks where job_no = $1) then minted end), 0) as bigint)
               as last_round_minted
      from chunks
     where job_no = $1";

const SKIP_OPEN_CHUNKS: &str = "update chunks set state = 'skipped' where job_no = $1 and state = 'open'";
const DIGESTS: &str = "select digest from chunks where job_no = $1 and state = 'done' order by round, chunk_no";

impl Store {
    /// `queued` becomes `running`; any other state stays.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn mark_job_running(&self, job_no: i64) -> Result<(), StoreError> {
        match self {
            Self::Postgres(pool) => {
                sqlx::query("update jobs set state = 'running', started_at = now() where no = $1 and state = 'queued'")
                    .bind(job_no)
                    .execute(pool)
                    .await?;
            }
            Self::Sqlite(sqlite) => {
                let mut transaction = sqlite.begin_writing().await?;
                sqlx::query(
                    "update jobs set state = 'running', started_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                      where no = $1 and state = 'queued'",
                )
                .bind(job_no)
                .execute(&mut *transaction)
                .await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    /// Asks for the end of a job: from now on nobody claims a chunk of it. [`Store::close_job`] ends it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn mark_job_cancelling(&self, id: Uuid) -> Result<(), StoreError> {
        const SQL: &str = "update jobs set state = 'cancelling' where id = $1 and state in ('queued', 'running')";
        match self {
            Self::Postgres(pool) => {
                sqlx::query(SQL).bind(id).execute(pool).await?;
            }
            Self::Sqlite(sqlite) => {
                let mut transaction = sqlite.begin_writing().await?;
                sqlx::query(SQL).bind(id).execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    /// Ends a job that has no open chunk left, or plans the next round for what is missing. A job that is being
    /// cancelled loses its open chunks first; those being written are waited for, and count.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn close_job(&self, job_no: i64) -> Result<CloseJob, StoreError> {
        match self {
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let closed = close_job_postgres(&mut transaction, job_no).await?;
                transaction.commit().await?;
                Ok(closed)
            }
            Self::Sqlite(sqlite) => {
                let mut transaction = sqlite.begin_writing().await?;
                let closed = close_job_sqlite(&mut transaction, job_no).await?;
                transaction.commit().await?;
                Ok(closed)
            }
        }
    }
}

async fn close_job_postgres(connection: &mut PgConnection, job_no: i64) -> Result<CloseJob, StoreError> {
    // Of two writers that finish the last two chunks at the same moment, the second waits here and then sees both.
    let row: OpenJobRow =
        sqlx::query_as("select state, canonical_mask, count, chunk_size, key from jobs where no = $1 for update")
            .bind(job_no)
            .fetch_one(&mut *connection)
            .await?;
    let Some(job) = OpenJob::from_row(row)? else { return Ok(CloseJob::Ended) };
    if job.state == State::Cancelling {
        // Waits for the row locks of chunks that are being written; they turn out to be done and stay.
        sqlx::query(SKIP_OPEN_CHUNKS).bind(job_no).execute(&mut *connection).await?;
    }
    let tally: TallyRow = sqlx::query_as(TALLY).bind(job_no).fetch_one(&mut *connection).await?;
    match job.decide(&tally)? {
        Decision::ChunksOpen => Ok(CloseJob::ChunksOpen),
        Decision::NextRound { round, chunks } => {
            insert_chunks_postgres(connection, job_no, round, &chunks).await?;
            Ok(CloseJob::NextRound)
        }
        Decision::End(end) => {
            let digests: Vec<Vec<u8>> = sqlx::query_scalar(DIGESTS).bind(job_no).fetch_all(&mut *connection).await?;
            let ended = sqlx::query(
                "update jobs set state = $2, error_code = $3, error_message = $4, minted = $5, rejected = $6,
                                 digest = $7, key = null, finished_at = now()
                  where no = $1",
            )
            .bind(job_no)
            .bind(end.state.as_str())
            .bind(end.error_code)
            .bind(end.error_message)
            .bind(tally.minted)
            .bind(tally.rejected)
            .bind(job_digest(&digests))
            .execute(connection)
            .await?;
            require_rows("the closing of a job", ended.rows_affected(), 1)?;
            Ok(CloseJob::Ended)
        }
    }
}

async fn close_job_sqlite(connection: &mut SqliteConnection, job_no: i64) -> Result<CloseJob, StoreError> {
    let row: OpenJobRow =
        sqlx::query_as("select state, canonical_mask, count, chunk_size, key from jobs where no = $1")
            .bind(job_no)
            .fetch_one(&mut *connection)
            .await?;
    let Some(job) = OpenJob::from_row(row)? else { return Ok(CloseJob::Ended) };
    if job.state == State::Cancelling {
        sqlx::query(SKIP_OPEN_CHUNKS).bind(job_no).execute(&mut *connection).await?;
    }
    let tally: TallyRow = sqlx::query_as(TALLY).bind(job_no).fetch_one(&mut *connection).await?;
    match job.decide(&tally)? {
        Decision::ChunksOpen => Ok(CloseJob::ChunksOpen),
        Decision::NextRound { round, chunks } => {
            insert_chunks_sqlite(connection, job_no, round, &chunks).await?;
            Ok(CloseJob::NextRound)
        }
        Decision::End(end) => {
            let digests: Vec<Vec<u8>> = sqlx::query_scalar(DIGESTS).bind(job_no).fetch_all(&mut *connection).await?;
            let ended = sqlx::query(
                "update jobs set state = $2, error_code = $3, error_message = $4, minted = $5, rejected = $6,
                                 digest = $7, key = null, finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                  where no = $1",
            )
            .bind(job_no)
            .bind(end.state.as_str())
            .bind(end.error_code)
            .bind(end.error_message)
            .bind(tally.minted)
            .bind(tally.rejected)
            .bind(job_digest(&digests))
            .execute(connection)
            .await?;
            require_rows("the closing of a job", ended.rows_affected(), 1)?;
            Ok(CloseJob::Ended)
        }
    }
}

/// A job that has not ended, with what a further round would be planned from.
struct OpenJob {
    state: State,
    mask: Mask,
    count: u64,
    chunk_size: u32,
    key: Key,
}

enum Decision {
    ChunksOpen,
    NextRound { round: u32, chunks: Vec<PlannedChunk> },
    End(End),
}

struct End {
    state: State,
    error_code: Option<String>,
    error_message: Option<String>,
}

impl OpenJob {
    /// `None` if the job has ended.
    fn from_row(row: OpenJobRow) -> Result<Option<Self>, StoreError> {
        let corrupt = |problem: String| StoreError::Corrupt { table: "jobs", problem };
        let state: State = row.state.parse().map_err(corrupt)?;
        if state.is_final() {
            return Ok(None);
        }
        let key = row.key.and_then(|bytes| <[u8; Key::LENGTH_BYTES]>::try_from(bytes).ok()).map(Key::new);
        Ok(Some(Self {
            state,
            mask: row.canonical_mask.parse().map_err(|error| corrupt(format!("{error}")))?,
            count: unsigned("jobs", row.count)?,
            chunk_size: unsigned("jobs", row.chunk_size)?,
            key: key.ok_or_else(|| corrupt("an unfinished job has no key".to_owned()))?,
        }))
    }

    fn decide(&self, row: &TallyRow) -> Result<Decision, StoreError> {
        if row.open > 0 {
            return Ok(Decision::ChunksOpen);
        }
        let tally = Tally {
            minted: unsigned("chunks", row.minted)?,
            rejected: unsigned("chunks", row.rejected)?,
            last_round: unsigned("chunks", row.last_round)?,
            last_round_minted: unsigned("chunks", row.last_round_minted)?,
        };
        Ok(match decide_closing(self.state, self.count, tally) {
            Closing::NextRound { round, count } => {
                let keyspace = Keyspace::new(&self.mask);
                let chunks = plan_round(&keyspace, &self.key, round, count, self.chunk_size).collect();
                Decision::NextRound { round, chunks }
            }
            Closing::End { state, error } => {
                let (error_code, error_message) = error.map(|error| (error.code, error.message)).unzip();
                Decision::End(End { state, error_code, error_message })
            }
        })
    }
}

/// SHA-256 over the digests of the chunks that are done, in order of round and chunk.
pub fn job_digest(chunk_digests: &[Vec<u8>]) -> Vec<u8> {
    let mut digest = Sha256::new();
    chunk_digests.iter().for_each(|chunk| digest.update(chunk));
    digest.finalize().to_vec()
}
