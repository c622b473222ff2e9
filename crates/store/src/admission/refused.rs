//! Requests that cannot be met, stored as failed jobs, so that the requester and later readers learn why.

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::minting::closing::job_digest;
use crate::records::audit::{Action, AuditEntry, Outcome};
use codemint_codes::draw::GENERATOR_VERSION;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::JobError;
use codemint_codes::mask::Mask;
use codemint_codes::wire::event::EventKind;

/// A request that cannot be met.
#[derive(Clone, Debug)]
pub struct RefusedRequest {
    pub id: Uuid,
    /// The text as requested, which may not be a valid mask.
    pub mask_text: String,
    /// The requested count, at most what tables can hold.
    pub count: u64,
    pub campaign: Option<String>,
    pub options: JobOptions,
    pub error: JobError,
}

/// The result of storing a request that cannot be met.
#[derive(Debug)]
pub enum PutRefused {
    /// The failed job is stored.
    Stored(Job),
    /// The id was known already; nothing was changed. The known job may stem from another request.
    Known(Job),
}

const INSERT_REFUSED: &str = "
    insert into jobs (id, mask, canonical_mask, count, campaign, priority, announced, reply_to, correlation_id, traceparent, state,
                      generator_version, chunk_size, minted, rejected, conflicts, reserved, denied, false_positives,
                      digest, error_code, error_message)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $14, 'failed', $10, 1, 0, 0, 0, 0, 0, 0, $11, $12, $13)
    on conflict (id) do nothing
    returning no";

impl Store {
    /// Stores a job that has failed before it began. Idempotent: a repeated id changes nothing.
    pub async fn put_refused(&self, request: &RefusedRequest) -> Result<PutRefused, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let Some(job_no) = transaction.insert_refused(request).await? else {
            transaction.rollback().await?;
            return Ok(PutRefused::Known(self.find_stored(request.id).await?));
        };
        let now = transaction.now();
        let sql = format!("update jobs set finished_at = {now} where no = $1");
        transaction.execute_for_job(&sql, job_no).await?;
        let job = transaction.read_job(job_no).await?;
        if job.options.emits_events {
            let time = job.finished_at.unwrap_or(job.created_at);
            transaction.put_events(&[(EventKind::Failed, &job)], time, job.options.reply_to.as_deref()).await?;
        }
        let entry = AuditEntry::of_job(Action::Request, Outcome::Refused, &job).with_detail(&request.error.code);
        transaction.put_audit(&[entry.asked_by(&request.options)]).await?;
        transaction.commit().await?;
        Ok(PutRefused::Stored(job))
    }
}

impl StoreTransaction {
    /// Inserts the job; `None` if the id is known.
    async fn insert_refused(&mut self, request: &RefusedRequest) -> Result<Option<i64>, StoreError> {
        let RefusedRequest { id, mask_text, count, campaign, options, error } = request;
        let canonical = mask_text.parse().map(|mask: Mask| mask.to_string()).ok();
        let (count, priority, digest) = (*count as i64, i16::from(options.priority), job_digest(&[]).to_vec());
        let JobOptions { emits_events, reply_to, correlation_id, traceparent, .. } = options;
        Ok(match self {
            Self::Postgres(transaction) => {
                let insert = sqlx::query_scalar(INSERT_REFUSED).bind(id).bind(mask_text).bind(canonical).bind(count);
                let insert =
                    insert.bind(campaign).bind(priority).bind(emits_events).bind(reply_to).bind(correlation_id);
                let insert = insert.bind(GENERATOR_VERSION as i32).bind(digest).bind(&error.code).bind(&error.message);
                insert.bind(traceparent).fetch_optional(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let insert = sqlx::query_scalar(INSERT_REFUSED).bind(id).bind(mask_text).bind(canonical).bind(count);
                let insert =
                    insert.bind(campaign).bind(priority).bind(emits_events).bind(reply_to).bind(correlation_id);
                let insert = insert.bind(GENERATOR_VERSION as i32).bind(digest).bind(&error.code).bind(&error.message);
                insert.bind(traceparent).fetch_optional(&mut **transaction).await?
            }
        })
    }
}
