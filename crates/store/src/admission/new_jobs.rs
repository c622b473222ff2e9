//! The rows of new jobs, of their chunks and of the masks that they use.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::admission::capacity::Wanted;
use crate::admission::entropy::fresh_key;
use crate::connection::blocking::off_the_async_threads;
use crate::connection::error::{StoreError, require_rows};
use crate::connection::postgres_transaction::PostgresSession;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::denied::DeniedInMask;
use codemint_codes::draw::GENERATOR_VERSION;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::plan::{PlannedChunk, plan_round};
use codemint_codes::job::record::{Job, Origin, Rejections};
use codemint_codes::job::request::Request;
use codemint_codes::job::state::State;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::random::Key;

/// A job to insert.
pub(crate) struct NewJob<'a> {
    pub id: Uuid,
    pub request: &'a Request,
    pub canonical_mask: String,
    pub keyspace: Arc<Keyspace>,
    pub denied: Option<Arc<DeniedInMask>>,
    pub key: Key,
    pub chunks: Vec<PlannedChunk>,
}

impl<'a> NewJob<'a> {
    /// Draws a key and plans the first round.
    pub(crate) async fn plan(id: Uuid, request: &'a Request) -> Result<Self, StoreError> {
        let key = fresh_key()?;
        let keyspace = Arc::new(request.policy.keyspace(&request.mask));
        let denied = request.policy.denied_in(&request.mask).map(Arc::new);
        let chunks = plan_chunks(Arc::clone(&keyspace), key.clone(), request).await;
        Ok(Self { id, request, canonical_mask: request.mask.to_string(), keyspace, denied, key, chunks })
    }
}

/// Plans the chunks of the first round; on a blocking thread if they are several, because many take a while.
async fn plan_chunks(keyspace: Arc<Keyspace>, key: Key, request: &Request) -> Vec<PlannedChunk> {
    let (count, chunk_size) = (request.count, request.chunk_size);
    if count <= u64::from(chunk_size) {
        return plan_round(&keyspace, &key, 0, count, chunk_size).collect();
    }
    off_the_async_threads(move || plan_round(&keyspace, &key, 0, count, chunk_size).collect()).await
}

impl NewJob<'_> {
    /// Returns a request for `count` codes of the job's mask.
    pub(crate) fn wanted(&self, count: u64) -> Wanted<'_> {
        Wanted { mask: &self.request.mask, keyspace: &self.keyspace, denied: self.denied.as_ref(), count }
    }

    /// Returns the job as it is stored, before anything has happened to it.
    fn job(&self, no: i64, created_at: DateTime<Utc>) -> Job {
        let Request { mask_text, mask, count, campaign, chunk_size, policy, options } = self.request.clone();
        Job {
            no,
            id: self.id,
            policy_marks: policy.marks(&mask),
            origin: Origin::Minted { mask_text, mask },
            count,
            campaign,
            options,
            state: State::Queued,
            generator_version: GENERATOR_VERSION,
            chunk_size,
            minted: 0,
            rejections: Rejections::default(),
            digest: None,
            error: None,
            created_at,
            started_at: None,
            finished_at: None,
        }
    }
}

/// A mask that jobs use, perhaps not for the first time.
pub(crate) struct NewMask<'a> {
    pub mask: &'a Mask,
    /// The number of its codes that are promised to these jobs.
    pub codes: u64,
}

const USE_MASK: &str = "
    insert into masks (mask, code_length, first_code, last_code, codes) values ($1, $2, $3, $4, $5)
    on conflict (mask) do update set codes = masks.codes + excluded.codes
    returning mask_no";

const INSERT_JOB: &str = "
    insert into jobs (id, mask, canonical_mask, mask_no, count, campaign, key, generator_version, chunk_size,
                      check_fingerprint, deny_digest, priority, announced, reply_to, correlation_id, traceparent)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    on conflict (id) do nothing
    returning no, created_at";

impl StoreTransaction {
    /// Returns those ids that jobs have already.
    pub(crate) async fn find_known(&mut self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        Ok(match self {
            Self::Postgres(transaction) => {
                let query = sqlx::query_scalar("select id from jobs where id = any($1)").bind(ids);
                query.fetch_all(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let mut known = Vec::new();
                for id in ids {
                    let query = sqlx::query_scalar("select id from jobs where id = $1").bind(id);
                    let found: Option<Uuid> = query.fetch_optional(&mut **transaction).await?;
                    known.extend(found);
                }
                known
            }
        })
    }

    /// Adds the newly promised codes to the mask and returns its number.
    pub(crate) async fn use_mask(&mut self, mask: &NewMask<'_>) -> Result<i64, StoreError> {
        let (text, length, codes) = (mask.mask.to_string(), mask.mask.code_length() as i32, mask.codes as i64);
        // The range of the mask, not of its codes: the row serves all jobs of the same mask.
        let (first_code, last_code) = mask.mask.range();
        let no = match self {
            Self::Postgres(transaction) => {
                let insert = sqlx::query_scalar(USE_MASK).bind(text).bind(length).bind(first_code).bind(last_code);
                insert.bind(codes).fetch_one(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let insert = sqlx::query_scalar(USE_MASK).bind(text).bind(length).bind(first_code).bind(last_code);
                insert.bind(codes).fetch_one(&mut **transaction).await?
            }
        };
        Ok(no)
    }

    /// Inserts a job and returns it as it is stored; `None` if the id is known.
    pub(crate) async fn insert_job(&mut self, new: &NewJob<'_>, mask_no: i64) -> Result<Option<Job>, StoreError> {
        let NewJob { id, request, canonical_mask, key, .. } = new;
        let (count, chunk_size) = (request.count as i64, request.chunk_size as i32);
        let marks = request.policy.marks(&request.mask);
        let JobOptions { emits_events, reply_to, correlation_id, traceparent, .. } = &request.options;
        let priority = i16::from(request.options.priority);
        let stored: Option<(i64, DateTime<Utc>)> = match self {
            Self::Postgres(transaction) => {
                let insert = sqlx::query_as(INSERT_JOB).bind(id).bind(&request.mask_text).bind(canonical_mask);
                let insert = insert.bind(mask_no).bind(count).bind(&request.campaign).bind(key.as_bytes());
                let insert = insert.bind(GENERATOR_VERSION as i32).bind(chunk_size).bind(&marks.check_fingerprint);
                let insert = insert.bind(&marks.deny_digest).bind(priority).bind(emits_events).bind(reply_to);
                insert.bind(correlation_id).bind(traceparent).fetch_optional(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let insert = sqlx::query_as(INSERT_JOB).bind(id).bind(&request.mask_text).bind(canonical_mask);
                let insert = insert.bind(mask_no).bind(count).bind(&request.campaign).bind(key.as_bytes());
                let insert = insert.bind(GENERATOR_VERSION as i32).bind(chunk_size).bind(&marks.check_fingerprint);
                let insert = insert.bind(&marks.deny_digest).bind(priority).bind(emits_events).bind(reply_to);
                insert.bind(correlation_id).bind(traceparent).fetch_optional(&mut **transaction).await?
            }
        };
        Ok(stored.map(|(no, created_at)| new.job(no, created_at)))
    }

    /// Inserts the chunks of one round, of one job or of several with the same mask.
    pub(crate) async fn insert_chunks(
        &mut self,
        mask_no: i64,
        round: u32,
        chunks_of_jobs: &[(i64, &[PlannedChunk])],
    ) -> Result<(), StoreError> {
        let rows: Vec<ChunkRow<'_>> = chunks_of_jobs
            .iter()
            .flat_map(|(job_no, chunks)| chunks.iter().map(|chunk| ChunkRow { job_no: *job_no, chunk }))
            .collect();
        let inserted = match self {
            Self::Postgres(transaction) => insert_chunks_postgres(transaction, mask_no, round, &rows).await?,
            Self::Sqlite(transaction) => insert_chunks_sqlite(transaction, mask_no, round, &rows).await?,
        };
        require_rows("the insert of chunks", inserted, rows.len() as u64)
    }
}

/// A chunk to insert.
struct ChunkRow<'a> {
    job_no: i64,
    chunk: &'a PlannedChunk,
}

async fn insert_chunks_postgres(
    connection: &mut PostgresSession,
    mask_no: i64,
    round: u32,
    rows: &[ChunkRow<'_>],
) -> Result<u64, sqlx::Error> {
    let jobs: Vec<i64> = rows.iter().map(|row| row.job_no).collect();
    let numbers: Vec<i32> = rows.iter().map(|row| row.chunk.chunk_no as i32).collect();
    let firsts: Vec<&str> = rows.iter().map(|row| row.chunk.range_first.as_str()).collect();
    let lasts: Vec<&str> = rows.iter().map(|row| row.chunk.range_last.as_str()).collect();
    let quotas: Vec<i32> = rows.iter().map(|row| row.chunk.quota as i32).collect();
    let inserted = sqlx::query(
        "insert into chunks (mask_no, round, job_no, chunk_no, range_first, range_last, quota)
         select $1, $2, * from unnest($3::bigint[], $4::integer[], $5::text[], $6::text[], $7::integer[])",
    )
    .bind(mask_no)
    .bind(round as i32)
    .bind(jobs)
    .bind(numbers)
    .bind(firsts)
    .bind(lasts)
    .bind(quotas)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

async fn insert_chunks_sqlite(
    connection: &mut SqliteConnection,
    mask_no: i64,
    round: u32,
    rows: &[ChunkRow<'_>],
) -> Result<u64, sqlx::Error> {
    let values: serde_json::Value = rows
        .iter()
        .map(|ChunkRow { job_no, chunk }| {
            serde_json::json!([job_no, chunk.chunk_no, chunk.range_first, chunk.range_last, chunk.quota])
        })
        .collect();
    let inserted = sqlx::query(
        "insert into chunks (mask_no, round, job_no, chunk_no, range_first, range_last, quota)
         select $1, $2, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 from json_each($3)",
    )
    .bind(mask_no)
    .bind(round as i32)
    .bind(values.to_string())
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}
