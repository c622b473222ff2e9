//! Putting jobs and their chunks into the store.

use sqlx::{PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::code::keyspace::Keyspace;
use crate::code::random::Key;
use crate::code::slice::GENERATOR_VERSION;
use crate::entropy::fresh_key;
use crate::job::{Job, PlannedChunk, Request, plan_round};
use crate::store::Store;
use crate::store::error::StoreError;

/// What became of a request to store a job.
#[derive(Debug)]
pub enum PutJob {
    /// The job and its first round of chunks are stored.
    Stored(Job),
    /// The id was known already; nothing was changed. The request may be another one.
    Known(Job),
}

/// A job's row, as it is inserted.
struct NewJob<'a> {
    id: Uuid,
    request: &'a Request,
    canonical_mask: String,
    key: Key,
    chunks: Vec<PlannedChunk>,
}

impl Store {
    /// Stores a job and the chunks of its first round in one transaction, under a fresh key. Doing it again with the
    /// same id changes nothing, so an unknown outcome may simply be tried again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn put_job(&self, id: Uuid, request: &Request) -> Result<PutJob, StoreError> {
        let key = fresh_key()?;
        let keyspace = Keyspace::new(&request.mask);
        let chunks = plan_round(&keyspace, &key, 0, request.count, request.chunk_size).collect();
        let new = NewJob { id, request, canonical_mask: request.mask.to_string(), key, chunks };
        let inserted = match self {
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let inserted = insert_job_postgres(&mut transaction, &new).await?;
                transaction.commit().await?;
                inserted
            }
            Self::Sqlite(sqlite) => {
                let mut transaction = sqlite.begin_writing().await?;
                let inserted = insert_job_sqlite(&mut transaction, &new).await?;
                transaction.commit().await?;
                inserted
            }
        };
        let stored = self.find_job(id).await?.ok_or_else(|| StoreError::Corrupt {
            table: "jobs",
            problem: format!("job {id} is not there after it was stored"),
        })?;
        Ok(if inserted { PutJob::Stored(stored) } else { PutJob::Known(stored) })
    }
}

const INSERT_JOB: &str = "
    insert into jobs (id, mask, canonical_mask, count, campaign, key, generator_version, chunk_size)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (id) do nothing
    returning no";

async fn insert_job_postgres(connection: &mut PgConnection, new: &NewJob<'_>) -> Result<bool, StoreError> {
    let no: Option<i64> = sqlx::query_scalar(INSERT_JOB)
        .bind(new.id)
        .bind(&new.request.mask_text)
        .bind(&new.canonical_mask)
        .bind(new.request.count as i64)
        .bind(&new.request.campaign)
        .bind(new.key.as_bytes())
        .bind(GENERATOR_VERSION as i32)
        .bind(new.request.chunk_size as i32)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(job_no) = no else { return Ok(false) };
    insert_chunks_postgres(connection, job_no, 0, &new.chunks).await?;
    Ok(true)
}

async fn insert_job_sqlite(connection: &mut SqliteConnection, new: &NewJob<'_>) -> Result<bool, StoreError> {
    let no: Option<i64> = sqlx::query_scalar(INSERT_JOB)
        .bind(new.id)
        .bind(&new.request.mask_text)
        .bind(&new.canonical_mask)
        .bind(new.request.count as i64)
        .bind(&new.request.campaign)
        .bind(new.key.as_bytes())
        .bind(GENERATOR_VERSION as i32)
        .bind(new.request.chunk_size as i32)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(job_no) = no else { return Ok(false) };
    insert_chunks_sqlite(connection, job_no, 0, &new.chunks).await?;
    Ok(true)
}

pub(crate) async fn insert_chunks_postgres(
    connection: &mut PgConnection,
    job_no: i64,
    round: u32,
    chunks: &[PlannedChunk],
) -> Result<(), StoreError> {
    let numbers: Vec<i32> = chunks.iter().map(|chunk| chunk.chunk_no as i32).collect();
    let firsts: Vec<&str> = chunks.iter().map(|chunk| chunk.range_first.as_str()).collect();
    let lasts: Vec<&str> = chunks.iter().map(|chunk| chunk.range_last.as_str()).collect();
    let quotas: Vec<i32> = chunks.iter().map(|chunk| chunk.quota as i32).collect();
    let inserted = sqlx::query(
        "insert into chunks (job_no, round, chunk_no, range_first, range_last, quota)
         select $1, $2, * from unnest($3::integer[], $4::text[], $5::text[], $6::integer[])",
    )
    .bind(job_no)
    .bind(round as i32)
    .bind(numbers)
    .bind(firsts)
    .bind(lasts)
    .bind(quotas)
    .execute(connection)
    .await?;
    require_rows("the insert of chunks", inserted.rows_affected(), chunks.len() as u64)
}

pub(crate) async fn insert_chunks_sqlite(
    connection: &mut SqliteConnection,
    job_no: i64,
    round: u32,
    chunks: &[PlannedChunk],
) -> Result<(), StoreError> {
    let rows: serde_json::Value = chunks
        .iter()
        .map(|chunk| serde_json::json!([chunk.chunk_no, chunk.range_first, chunk.range_last, chunk.quota]))
        .collect();
    let inserted = sqlx::query(
        "insert into chunks (job_no, round, chunk_no, range_first, range_last, quota)
         select $1, $2, value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each($3)",
    )
    .bind(job_no)
    .bind(round as i32)
    .bind(rows.to_string())
    .execute(connection)
    .await?;
    require_rows("the insert of chunks", inserted.rows_affected(), chunks.len() as u64)
}

/// # Errors
/// `RowCount` unless exactly the expected number of rows was changed.
pub(crate) fn require_rows(statement: &'static str, changed: u64, expected: u64) -> Result<(), StoreError> {
    if changed == expected { Ok(()) } else { Err(StoreError::RowCount { statement, changed, expected }) }
}
