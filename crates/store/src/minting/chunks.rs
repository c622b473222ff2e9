//! A chunk's transaction: claim, codes, checkpoint, commit. The row lock is the lease; a process that dies loses it.
//!
//! The transaction never writes or locks the job's row; otherwise all writers of a job would wait for each other.

use std::time::Duration;

use serde::Serializer;
use sqlx::FromRow;

use crate::connection::error::{ErrorClass, StoreError, is_duplicate, reach, require_rows};
use crate::connection::postgres_transaction::PostgresSession;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::minting::copy_format::CopyRows;
use crate::minting::write_order::{ROW, WriteOrder};
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Rejections;
use codemint_codes::random::Key;
use codemint_codes::screening::Screening;
use codemint_codes::text::plural;
use codemint_telemetry::failpoint;

/// SQLite gives the file to the process that asks first, and a writer that returns at once is first: a second process
/// could wait for seconds. So a writer pauses for a moment after each commit.
const SQLITE_PAUSE: Duration = Duration::from_millis(2);

/// The number of bytes that `COPY` sends to the server at once.
const COPY_PIECE_BYTES: usize = 256 * 1024;

/// A chunk that only this process may write: it holds an open transaction with the chunk's row locked. Dropping it
/// leaves the chunk open.
#[derive(Debug)]
pub struct ClaimedChunk {
    pub chunk: OpenChunk,
    pub(crate) transaction: StoreTransaction,
}

/// A chunk whose codes are yet to be drawn: its row, in which only the state and the results ever change.
#[derive(Clone, Debug, FromRow)]
pub struct OpenChunk {
    pub run_no: i64,
    #[sqlx(try_from = "i32")]
    pub round: u32,
    #[sqlx(try_from = "i32")]
    pub chunk_no: u32,
    /// The first and last code of the chunk's slice.
    pub range_first: String,
    pub range_last: String,
    #[sqlx(try_from = "i32")]
    pub quota: u32,
}

/// The codes of one run in the store's format: rows of a binary `COPY`, or a JSON array.
#[derive(Debug)]
pub struct EncodedCodes {
    run_no: i64,
    count: u64,
    bytes: Vec<u8>,
}

/// The result of storing a batch of codes.
#[derive(Debug)]
pub enum PutCodes {
    Stored,
    /// At least one code existed already; none of the batch was stored, and the transaction continues.
    DuplicateMet,
    /// The server does not say why it rejects the batch. Like `DuplicateMet`, if some of its codes exist.
    Unclear(StoreError),
}

/// The columns of [`OpenChunk`].
pub(crate) const CHUNK_COLUMNS: &str = "c.run_no, c.round, c.chunk_no, c.range_first, c.range_last, c.quota";

const FIRST_OPEN: &str = "
      from chunks c
      join jobs j on j.no = c.job_no
     where c.job_no = $1 and c.state = 'open' and j.state in ('queued', 'running')
     order by c.round, c.chunk_no
     limit 1
       for update of c skip locked";

/// The result of a chunk, as the checkpoint records it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub minted: u32,
    pub rejections: Rejections,
    pub screening: Screening,
    /// The SHA-256 over the codes in order, each followed by a newline.
    pub digest: [u8; 32],
    /// The first and last code; `None` without codes. From now on this is the run's range.
    pub range: Option<(String, String)>,
    /// The result of [`Filter::bytes_of`](codemint_codes::prefilter::Filter::bytes_of).
    pub filter: Option<Vec<u8>>,
}

impl Store {
    /// Encodes codes in the store's format. Call it off the async threads: a chunk takes milliseconds.
    pub fn encode_codes(&self, run_no: i64, codes: &CodeBatch, order: WriteOrder) -> EncodedCodes {
        let bytes = match self {
            Self::Postgres(_) => copy_rows(run_no, codes, order),
            Self::Sqlite(_) => json_array(codes),
        };
        EncodedCodes { run_no, count: codes.len() as u64, bytes }
    }

    /// Returns the secret key of a job's draws; `None` once the job has ended.
    ///
    /// # Errors
    /// `Corrupt` if the stored bytes are not a key.
    pub async fn read_key(&self, job_no: i64) -> Result<Option<Key>, StoreError> {
        let query = self.query("select key from jobs where no = $1");
        let stored: Option<Vec<u8>> = query.bind(job_no).fetch_value().await?;
        stored.map(key_of_bytes).transpose()
    }

    /// Claims the first open chunk of a job that is neither ended nor being cancelled; `None` if there is none, or if
    /// other processes are writing them all.
    pub async fn claim_chunk(&self, job_no: i64) -> Result<Option<ClaimedChunk>, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let query = transaction.query(format!("select {CHUNK_COLUMNS} {FIRST_OPEN}"));
        let row: Option<OpenChunk> = query.bind(job_no).fetch_optional().await?;
        let Some(chunk) = row else {
            transaction.rollback().await?;
            return Ok(None);
        };
        if let StoreTransaction::Postgres(session) = &mut transaction {
            session.write_sequentially_at_nodes().await?;
        }
        reach(failpoint::CHUNK_CLAIMED).await?;
        Ok(Some(ClaimedChunk { chunk, transaction }))
    }

    /// Lets other processes use an SQLite file. Call it after each commit of a chunk.
    pub async fn yield_writer(&self) {
        if let Self::Sqlite(_) = self {
            tokio::time::sleep(SQLITE_PAUSE).await;
        }
    }

    /// Returns whether a chunk was committed, after an error at COMMIT; waits while the server still has the
    /// transaction.
    pub async fn is_chunk_done(&self, run_no: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select state from chunks where run_no = $1";
        let state: String = match self {
            Self::Postgres(_) => {
                // Without the lock this would read the row as it was before a commit that is still in progress.
                let mut transaction = self.begin_writing().await?;
                let state = transaction.query(format!("{SQL} for update")).bind(run_no).fetch_value().await?;
                transaction.rollback().await?;
                state
            }
            Self::Sqlite(_) => self.query(SQL).bind(run_no).fetch_value().await?,
        };
        Ok(state == "done")
    }
}

/// # Errors
/// `Corrupt` if the stored bytes are not a key.
pub(crate) fn key_of_bytes(bytes: Vec<u8>) -> Result<Key, StoreError> {
    let key = <[u8; Key::LENGTH_BYTES]>::try_from(bytes).map(Key::new);
    key.map_err(|bytes| StoreError::Corrupt {
        table: "jobs",
        problem: format!("the key has {} {}", bytes.len(), plural(bytes.len(), "byte")),
    })
}

impl ClaimedChunk {
    /// Returns the next open chunk of the same job: the one that is claimed next unless others work on the job. It is
    /// not claimed here.
    ///
    /// # Errors
    /// After any error the claim is unusable.
    pub async fn find_next_open(&mut self) -> Result<Option<OpenChunk>, StoreError> {
        const NEXT_OPEN: &str = "
              from chunks c
             where c.job_no = (select job_no from chunks where run_no = $1)
               and c.state = 'open' and (c.round, c.chunk_no) > ($2, $3)
             order by c.round, c.chunk_no
             limit 1";
        let OpenChunk { run_no, round, chunk_no, .. } = self.chunk;
        let query = self.transaction.query(format!("select {CHUNK_COLUMNS} {NEXT_OPEN}"));
        let query = query.bind(run_no).bind(round as i32).bind(chunk_no as i32);
        query.fetch_optional().await
    }

    /// Keeps the claim alive while it waits for its codes: the server ends idle transactions. Call it now and then.
    ///
    /// # Errors
    /// After any error the claim is unusable.
    pub async fn keep_alive(&mut self) -> Result<(), StoreError> {
        match &mut self.transaction {
            StoreTransaction::Postgres(transaction) => transaction.execute_text("select 1").await,
            StoreTransaction::Sqlite(_) => Ok(()),
        }
    }

    /// Stores the codes of this chunk, all or none. They must have been encoded by the same store for this run.
    ///
    /// # Errors
    /// After any error the claim is unusable.
    pub async fn put_codes(&mut self, codes: &EncodedCodes) -> Result<PutCodes, StoreError> {
        let stored = match &mut self.transaction {
            StoreTransaction::Postgres(session) => put_codes_postgres(session, codes).await,
            StoreTransaction::Sqlite(_) => self.insert_codes(codes).await,
        };
        match stored {
            Ok(()) => Ok(PutCodes::Stored),
            Err(StoreError::Database(error)) if is_duplicate(&error) => {
                self.undo_codes().await?;
                Ok(PutCodes::DuplicateMet)
            }
            Err(error) if error.class() == ErrorClass::Unclear => {
                self.undo_codes().await?;
                Ok(PutCodes::Unclear(error))
            }
            Err(error) => Err(error),
        }
    }

    async fn undo_codes(&mut self) -> Result<(), StoreError> {
        match &mut self.transaction {
            // A savepoint that is not released would enclose the next ones, and each level slows the server down.
            StoreTransaction::Postgres(transaction) => {
                transaction.execute_text("rollback to savepoint before_codes; release savepoint before_codes").await
            }
            // SQLite itself undoes just the statement.
            StoreTransaction::Sqlite(_) => Ok(()),
        }
    }

    async fn insert_codes(&mut self, codes: &EncodedCodes) -> Result<(), StoreError> {
        const SQL: &str = "insert into codes (code, run_no) select value, $2 from json_each($1)";
        // These bytes were written as text, so they are valid UTF-8.
        let json = std::str::from_utf8(&codes.bytes).unwrap_or_default();
        let inserted = self.transaction.query(SQL).bind(json).bind(codes.run_no).execute().await?;
        reach(failpoint::CODES_HALF_WRITTEN).await?;
        require_rows("the insert of codes", inserted, codes.count)
    }

    /// Turns the chunk's row `done`: the last statement of the transaction.
    ///
    /// # Errors
    /// `RowCount` if the chunk was no longer open. After any error nothing will be committed.
    pub async fn write_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        reach(failpoint::BEFORE_CHECKPOINT).await?;
        const SQL: &str = "
            update chunks
               set state = 'done', minted = $2, rejected = $3, conflicts = $4, reserved = $5, denied = $6,
                   false_positives = $7, screening = $8, digest = $9, range_first = coalesce($10, range_first),
                   range_last = coalesce($11, range_last), filter = $12, done_at = now()
             where run_no = $1 and state = 'open'";
        // A chunk examines no more candidates than fit in its memory, so these numbers fit.
        let Rejections { conflicts, reserved, denied, false_positives, .. } = checkpoint.rejections;
        let [rejected, conflicts, reserved, denied, false_positives] =
            [checkpoint.rejections.total(), conflicts, reserved, denied, false_positives].map(|figure| figure as i32);
        let (first, last) = checkpoint.range.as_ref().map(|(first, last)| (first, last)).unzip();
        let update = self.transaction.query(SQL).bind(self.chunk.run_no).bind(checkpoint.minted as i32).bind(rejected);
        let update = update.bind(conflicts).bind(reserved).bind(denied).bind(false_positives);
        let update = update.bind(checkpoint.screening.into_str()).bind(&checkpoint.digest[..]).bind(first).bind(last);
        let changed = update.bind(checkpoint.filter.as_deref()).execute().await?;
        require_rows("the checkpoint of a chunk", changed, 1)
    }

    /// Commits codes and checkpoint together.
    ///
    /// # Errors
    /// After any error it is unknown whether the chunk was committed; [`Store::is_chunk_done`] finds out.
    pub async fn commit(self) -> Result<(), StoreError> {
        reach(failpoint::BEFORE_COMMIT).await?;
        self.transaction.commit().await?;
        reach(failpoint::AFTER_COMMIT).await
    }
}

async fn put_codes_postgres(session: &mut PostgresSession, codes: &EncodedCodes) -> Result<(), StoreError> {
    session.execute_text("savepoint before_codes").await?;
    let pieces = codes.bytes.chunks(COPY_PIECE_BYTES);
    let copied = session.copy_in("copy codes (code, run_no) from stdin (format binary)", pieces).await?;
    require_rows("the copy of codes", copied, codes.count)
}

/// Encodes the codes of a run for PostgreSQL.
pub fn copy_rows(run_no: i64, codes: &CodeBatch, order: WriteOrder) -> Vec<u8> {
    // A row adds 18 bytes to its code, which has a newline in the batch.
    let mut rows = CopyRows::with_capacity(codes.as_lines().len() + 17 * codes.len());
    for pass in order.passes() {
        for (_, code) in codes.iter().enumerate().filter(|(index, _)| pass.contains(&(index % ROW))) {
            rows.begin_row(2);
            rows.text(code);
            rows.integer(run_no);
        }
    }
    rows.finish()
}

/// Encodes codes straight from the batch and without growing: at this size the allocator keeps each copied megabyte.
pub(crate) fn json_array(codes: &CodeBatch) -> Vec<u8> {
    // Two quotes and a comma replace each newline.
    let mut json = Vec::with_capacity(codes.as_lines().len() + 2 * codes.len() + 2);
    let written = serde_json::Serializer::new(&mut json).collect_seq(codes.iter());
    debug_assert!(written.is_ok(), "text always serializes");
    json
}
