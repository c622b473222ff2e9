//! The outbox: an event is written in the transaction that makes it true, and deleted once the broker has confirmed it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::{JobRow, select_jobs, unsigned};
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::wire::event::EventKind;
use codemint_telemetry::failpoint;

/// Maximum number of events in one claim.
pub const RELAY_BATCH_MAX: i64 = 500;

/// An event that waits to be published.
#[derive(Clone, Debug, FromRow)]
pub struct OutboxEvent {
    /// The order in which the events of one job are published.
    pub no: i64,
    pub message_id: String,
    pub message_type: String,
    pub routing_key: String,
    /// The queue to reply to; `None` is the exchange for events.
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
    pub payload: String,
}

/// Events that one process has claimed. In PostgreSQL no other process gets any until this is dropped, so that the
/// events of a job stay in order; two processes that share an SQLite file may both publish an event, each in order.
#[derive(Debug)]
pub struct OutboxBatch {
    pub events: Vec<OutboxEvent>,
    lease: Option<StoreTransaction>,
}

const FIRST_EVENTS: &str = "
    select no, message_id, message_type, routing_key, reply_to, correlation_id, payload
      from outbox
     order by no
     limit $1";

impl Store {
    /// Claims the oldest events; `None` if another process has claimed them. Deletes are not flushed: after a server
    /// crash, published events may reappear.
    pub async fn claim_events(&self) -> Result<Option<OutboxBatch>, StoreError> {
        if let Self::Sqlite(_) = self {
            // A lease would block all writers until the broker has answered.
            let events = self.query(FIRST_EVENTS).bind(RELAY_BATCH_MAX).fetch_all().await?;
            return Ok(Some(OutboxBatch { events, lease: None }));
        }
        let mut transaction = self.begin_writing_unflushed().await?;
        if !transaction.try_lock_outbox().await? {
            transaction.rollback().await?;
            return Ok(None);
        }
        let events = transaction.query(FIRST_EVENTS).bind(RELAY_BATCH_MAX).fetch_all().await?;
        Ok(Some(OutboxBatch { events, lease: Some(transaction) }))
    }

    /// Deletes published events and releases the others.
    ///
    /// # Errors
    /// After any error the events are published again.
    pub async fn delete_events(&self, batch: OutboxBatch, published: &[i64]) -> Result<(), StoreError> {
        reach(failpoint::EVENTS_PUBLISHED).await?;
        let mut transaction = match batch.lease {
            Some(lease) => lease,
            None => self.begin_writing().await?,
        };
        let delete = transaction.query("delete from outbox where no = any($1)");
        delete.bind(List(published)).execute().await?;
        transaction.commit().await
    }

    /// Counts the events that wait to be published.
    pub async fn count_events(&self) -> Result<u64, StoreError> {
        let count: i64 = self.query("select count(*) from outbox").fetch_value().await?;
        unsigned("outbox", count)
    }

    /// Writes a progress event of a running job, unless one was written within the last second; true if it was written. A time in
    /// the future means that the clock was set back. It is compared with `clock_timestamp()`: `now()` is the start of the transaction, and
    /// another process may have written an event since.
    /// The job's row is locked for a moment, so this is not part of a chunk's transaction.
    pub async fn announce_progress(&self, job_no: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let update = transaction.query(
            "update jobs set progress_at = now()
              where no = $1 and announced and state = 'running'
                and (progress_at is null or progress_at <= now() - interval '1 second'
                     or progress_at > clock_timestamp())
          returning progress_at",
        );
        let logged_at: Option<(DateTime<Utc>,)> = update.bind(job_no).fetch_optional().await?;
        if let Some((time,)) = logged_at {
            let job = transaction.read_job(job_no).await?;
            transaction.put_events(&[(EventKind::Progress, &job)], time, None).await?;
        }
        transaction.commit().await?;
        Ok(logged_at.is_some())
    }

    /// Writes an event of a job again, with the same id: its end, also as a reply to the repeated request, else
    /// `accepted`. An unfinished job that no requester waits for will reply to the repeated request when it ends.
    pub async fn repeat_event(&self, job_no: i64, asked: &JobOptions) -> Result<(), StoreError> {
        let (reply_to, correlation_id) = (asked.reply_to.as_deref(), asked.correlation_id.as_deref());
        let mut transaction = self.begin_writing().await?;
        transaction.adopt_requester(job_no, reply_to, correlation_id).await?;
        let job = transaction.read_job(job_no).await?;
        match (EventKind::of_end(job.state), job.finished_at) {
            (Some(kind), Some(time)) => {
                transaction.put_events(&[(kind, &job)], time, None).await?;
                if let Some(queue) = reply_to {
                    // The repeated request has a correlation id of its own.
                    let options =
                        JobOptions { correlation_id: correlation_id.map(str::to_owned), ..job.options.clone() };
                    let answer = NewEvent::new(kind, &Job { options, ..job }, time)?;
                    transaction.insert_events(&[NewEvent { reply_to: Some(queue.to_owned()), ..answer }]).await?;
                }
            }
            _ => transaction.put_accepted([&job].into_iter()).await?,
        }
        transaction.commit().await
    }
}

impl StoreTransaction {
    pub(crate) async fn read_job(&mut self, job_no: i64) -> Result<Job, StoreError> {
        let row: JobRow = self.query(select_jobs("j.no = $1", "")).bind(job_no).fetch_one().await?;
        row.try_into()
    }

    /// Writes events of one job in this order, each about the job as it was. With `reply_to` the last event is also the
    /// reply to the requester.
    pub(crate) async fn put_events(
        &mut self,
        events: &[(EventKind, &Job)],
        time: DateTime<Utc>,
        reply_to: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(events.len() + 1);
        for (kind, job) in events {
            rows.push(NewEvent::new(*kind, job, time)?);
        }
        if let (Some(queue), Some(last)) = (reply_to, rows.last()) {
            rows.push(NewEvent { reply_to: Some(queue.to_owned()), ..last.clone() });
        }
        self.insert_events(&rows).await
    }

    /// Writes the event `accepted` for those jobs that emit events.
    pub(crate) async fn put_accepted<'a>(&mut self, jobs: impl Iterator<Item = &'a Job>) -> Result<(), StoreError> {
        let announced = jobs.filter(|job| job.options.emits_events);
        let rows: Result<Vec<_>, _> =
            announced.map(|job| NewEvent::new(EventKind::Accepted, job, job.created_at)).collect();
        self.insert_events(&rows?).await
    }

    /// Stores where to reply. Also locks the job's row, so that the event is not outdated when it is written.
    async fn adopt_requester(
        &mut self,
        job_no: i64,
        reply_to: Option<&str>,
        correlation_id: Option<&str>,
    ) -> Result<(), StoreError> {
        // A job that was created without a broker emits events from now on. The first reply queue stays, with the id that came with it.
        const SQL: &str = "
            update jobs
               set announced = true,
                   correlation_id = case when finished_at is null and reply_to is null
                                              and ($2 is not null or correlation_id is null)
                                         then coalesce($3, correlation_id) else correlation_id end,
                   reply_to = case when finished_at is null then coalesce(reply_to, $2) else reply_to end
             where no = $1";
        self.query(SQL).bind(job_no).bind(reply_to).bind(correlation_id).execute().await?;
        Ok(())
    }

    /// Inserts events in this order, in one statement.
    pub(crate) async fn insert_events(&mut self, events: &[NewEvent]) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into outbox (job_no, message_id, message_type, routing_key, reply_to, correlation_id, payload)
            select e.job_no, e.message_id, e.message_type, e.routing_key, e.reply_to, e.correlation_id, e.payload
              from json_to_recordset($1::json)
                as e(job_no bigint, message_id text, message_type text, routing_key text, reply_to text, correlation_id text, payload text)";
        if events.is_empty() {
            return Ok(());
        }
        let rows: Value = events.iter().map(NewEvent::row).collect();
        let inserted = self.query(SQL).bind(rows.to_string()).execute().await?;
        require_rows("the insert of events", inserted, events.len() as u64)
    }
}

/// A row to insert into the outbox.
#[derive(Clone)]
pub(crate) struct NewEvent {
    /// `None` for an event that is about no job.
    pub job_no: Option<i64>,
    pub message_id: String,
    pub message_type: String,
    pub routing_key: String,
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
    pub payload: String,
}

impl NewEvent {
    fn new(kind: EventKind, job: &Job, time: DateTime<Utc>) -> Result<Self, StoreError> {
        let event = kind.of(job, time);
        let correlation_id = job.options.correlation_id.clone();
        let without_job = Self::of(&event, &event.id, &event.event_type, &kind.routing_key())?;
        Ok(Self { job_no: Some(job.no), correlation_id, ..without_job })
    }

    /// Returns the row of an event that is about no job.
    pub fn of(
        event: &impl Serialize,
        message_id: &str,
        message_type: &str,
        routing_key: &str,
    ) -> Result<Self, StoreError> {
        let payload = serde_json::to_string(event).map_err(|error| StoreError::Corrupt {
            table: "outbox",
            problem: format!("an event cannot be serialized: {error}"),
        })?;
        let [message_id, message_type, routing_key] = [message_id, message_type, routing_key].map(str::to_owned);
        Ok(Self { job_no: None, message_id, message_type, routing_key, reply_to: None, correlation_id: None, payload })
    }

    fn row(&self) -> Value {
        let Self { job_no, message_id, message_type, routing_key, reply_to, correlation_id, payload } = self;
        json!({ "job_no": job_no, "message_id": message_id, "message_type": message_type, "routing_key": routing_key,
                "reply_to": reply_to, "correlation_id": correlation_id, "payload": payload })
    }
}
