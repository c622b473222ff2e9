//! Requests that cannot be met, stored as failed jobs, so that the requester and later readers learn why.

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::minting::closing::job_digest;
use crate::records::audit::{AuditEntry, Outcome};
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
    /// The same request was made before: nothing was changed.
    Repeated(Job),
    /// This job has the id and stems from another request: nothing was changed.
    Conflict(Job),
}

impl Store {
    /// Stores a job that has failed before it began. Idempotent: a repeated id changes nothing.
    pub async fn put_refused(&self, request: &RefusedRequest) -> Result<PutRefused, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let put = match transaction.insert_refused(request).await? {
            Some(job_no) => PutRefused::Stored(transaction.emit_refusal(job_no).await?),
            None => request.recognize(transaction.read_known(request.id).await?),
        };
        transaction.put_audit(&[request.audit_entry(&put)]).await?;
        transaction.commit().await?;
        Ok(put)
    }
}

impl RefusedRequest {
    fn asked(&self) -> (&str, u64, Option<&str>) {
        (&self.mask_text, self.count, self.campaign.as_deref())
    }

    /// Decides about a request whose id this job has already.
    fn recognize(&self, known: Job) -> PutRefused {
        let (mask_text, count, campaign) = self.asked();
        let is_repeated = known.asks_for(mask_text, count, campaign);
        if is_repeated { PutRefused::Repeated(known) } else { PutRefused::Conflict(known) }
    }

    fn audit_entry(&self, put: &PutRefused) -> AuditEntry {
        let entry = |outcome| AuditEntry::of_request(outcome, self.id, self.asked(), &self.options);
        match put {
            PutRefused::Stored(_) => entry(Outcome::Refused).with_detail(&self.error.code),
            PutRefused::Repeated(_) => entry(Outcome::Repeated),
            PutRefused::Conflict(_) => entry(Outcome::Conflict),
        }
    }
}

impl StoreTransaction {
    /// Inserts the job; `None` if the id is known.
    async fn insert_refused(&mut self, request: &RefusedRequest) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "
            insert into jobs (id, mask, canonical_mask, count, campaign, priority, announced, reply_to, correlation_id,
                              traceparent, error_code, error_message, digest, generator_version, chunk_size, state,
                              minted, rejected, conflicts, reserved, denied, false_positives, finished_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, 'failed', 0, 0, 0, 0, 0, 0, now())
            on conflict (id) do nothing
            returning no";
        let RefusedRequest { id, mask_text, count, campaign, options, error } = request;
        let canonical = mask_text.parse().map(|mask: Mask| mask.to_string()).ok();
        let insert = self.query(SQL).bind(id).bind(mask_text).bind(canonical).bind(*count as i64).bind(campaign);
        let insert = insert.bind(i16::from(options.priority)).bind(options.emits_events).bind(&options.reply_to);
        let insert = insert.bind(&options.correlation_id).bind(&options.traceparent);
        let insert = insert.bind(&error.code).bind(&error.message).bind(job_digest(&[]).to_vec());
        Ok(insert.bind(GENERATOR_VERSION as i32).fetch_optional::<(i64,)>().await?.map(|(no,)| no))
    }

    /// Writes the event of a refused job, if it emits events.
    async fn emit_refusal(&mut self, job_no: i64) -> Result<Job, StoreError> {
        let job = self.read_job(job_no).await?;
        if job.options.emits_events {
            let time = job.finished_at.unwrap_or(job.created_at);
            self.put_events(&[(EventKind::Failed, &job)], time, job.options.reply_to.as_deref()).await?;
        }
        Ok(job)
    }

    async fn read_known(&mut self, id: Uuid) -> Result<Job, StoreError> {
        let job_no = self.query("select no from jobs where id = $1").bind(id).fetch_value().await?;
        self.read_job(job_no).await
    }
}
