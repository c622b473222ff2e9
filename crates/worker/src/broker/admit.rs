//! Turns job messages into stored jobs. These steps do not know the broker.

use strum::IntoStaticStr;
use uuid::Uuid;

use crate::broker::admitter::{Dead, Outcome};
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Limits, Request, RequestError, fitting_chunk_size};
use codemint_codes::job::state::JobError;
use codemint_codes::policy::Policy;
use codemint_codes::wire::message::{Envelope, JobMessage, Undecodable, decode};
use codemint_codes::wire::trace::valid_traceparent;
use codemint_store::admission::refused::{PutRefused, RefusedRequest};
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::records::actor::actor_of_message;

/// Admits the jobs of messages to a store, under an operator's rules.
#[derive(Clone, Debug)]
pub struct JobAdmitter {
    pub store: Store,
    pub policy: Policy,
    pub limits: Limits,
    pub chunk_size: u64,
}

/// What became of a valid message.
#[derive(Debug, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub(super) enum AdmittedJob {
    /// A new job, which will be minted.
    #[strum(serialize = "accepted")]
    New(Job),
    /// A repeated request; the event with the state of its job is published again.
    Repeated(Job),
    /// A request that cannot be met: its job is stored as failed, and the event has the reason.
    Refused(Job),
}

/// The outcome of a message.
type JobOutcome = Outcome<AdmittedJob>;

/// A message, as far as it can be judged without the store.
#[derive(Debug)]
pub(super) enum Parsed {
    Valid(Uuid, Box<Request>),
    Unsatisfiable(Box<RefusedRequest>),
    Malformed(Undecodable),
}

impl JobAdmitter {
    /// Stores the requested jobs, in one transaction where possible. Idempotent, so an unknown outcome may be retried.
    ///
    /// # Errors
    /// An error of the store says nothing about a message. Some of the jobs may be stored.
    pub(super) async fn admit(&self, messages: &[Parsed]) -> Result<Vec<JobOutcome>, StoreError> {
        let mut put = self.put_valid(messages).await?.into_iter();
        let mut outcomes = Vec::with_capacity(messages.len());
        for message in messages {
            outcomes.push(match message {
                Parsed::Valid(id, request) => match put.next() {
                    Some(put) => self.conclude(put, *id, request).await?,
                    // There is one result for each request.
                    None => continue,
                },
                Parsed::Unsatisfiable(request) => self.refuse(request).await?,
                Parsed::Malformed(undecodable) => Err(Dead(undecodable.clone())),
            });
        }
        Ok(outcomes)
    }

    pub(super) fn parse(&self, body: &[u8], envelope: &Envelope<'_>) -> Parsed {
        let message = match decode(body, envelope) {
            Ok(message) => message,
            Err(undecodable) => return Parsed::Malformed(undecodable),
        };
        let options = options_of(&message, envelope);
        match self.request(&message) {
            Ok(request) => Parsed::Valid(message.job_id, Box::new(request.with_options(options))),
            Err(error) => {
                let error = JobError { code: error.code().to_owned(), message: error.to_string() };
                let JobMessage { job_id: id, mask: mask_text, count, campaign, .. } = message;
                Parsed::Unsatisfiable(Box::new(RefusedRequest { id, mask_text, count, campaign, options, error }))
            }
        }
    }

    fn request(&self, message: &JobMessage) -> Result<Request, RequestError> {
        let chunk_size = fitting_chunk_size(self.chunk_size, message.count.min(self.limits.count_max));
        let campaign = message.campaign.as_deref();
        Request::check(&message.mask, i128::from(message.count), campaign, chunk_size, self.limits)?
            .under(self.policy.clone())
    }

    async fn put_valid(&self, messages: &[Parsed]) -> Result<Vec<PutJob>, StoreError> {
        let valid = messages.iter().filter_map(|message| match message {
            Parsed::Valid(id, request) => Some((*id, &**request)),
            Parsed::Unsatisfiable(_) | Parsed::Malformed(_) => None,
        });
        let requests: Vec<(Uuid, &Request)> = valid.collect();
        if requests.is_empty() { Ok(Vec::new()) } else { self.store.put_jobs(&requests).await }
    }

    async fn conclude(&self, put: PutJob, id: Uuid, request: &Request) -> Result<JobOutcome, StoreError> {
        match put {
            PutJob::Stored(job) => Ok(Ok(AdmittedJob::New(job))),
            PutJob::Repeated(job) => self.repeat_event(job, &request.options).await,
            PutJob::Conflict(job) => Ok(conflict(&job)),
            PutJob::InsufficientKeyspace { free, exact, .. } => {
                self.refuse_job(id, request, JobError::insufficient_keyspace(free, exact, request.count)).await
            }
            PutJob::OtherCheckKey(other) => {
                let message = format!("{other}; to change the key, order with \"new_check_key\": true");
                let code = JobError::OTHER_CHECK_KEY.to_owned();
                self.refuse_job(id, request, JobError { code, message }).await
            }
            PutJob::RoomUncertain { certain, .. } => {
                self.refuse_job(id, request, JobError::insufficient_keyspace(certain, false, request.count)).await
            }
        }
    }

    async fn refuse_job(&self, id: Uuid, request: &Request, error: JobError) -> Result<JobOutcome, StoreError> {
        let Request { mask_text, count, campaign, options, .. } = request.clone();
        self.refuse(&RefusedRequest { id, mask_text, count, campaign, options, error }).await
    }

    async fn refuse(&self, request: &RefusedRequest) -> Result<JobOutcome, StoreError> {
        match self.store.put_refused(request).await? {
            PutRefused::Stored(job) => Ok(Ok(AdmittedJob::Refused(job))),
            PutRefused::Repeated(job) => self.repeat_event(job, &request.options).await,
            PutRefused::Conflict(job) => Ok(conflict(&job)),
        }
    }

    async fn repeat_event(&self, job: Job, options: &JobOptions) -> Result<JobOutcome, StoreError> {
        self.store.repeat_event(job.no, options).await?;
        Ok(Ok(AdmittedJob::Repeated(job)))
    }
}

fn options_of(message: &JobMessage, envelope: &Envelope<'_>) -> JobOptions {
    JobOptions {
        restricted_to: None,
        priority: message.priority,
        emits_events: true,
        reply_to: envelope.reply_to.map(str::to_owned),
        correlation_id: envelope.correlation_id.map(str::to_owned),
        traceparent: envelope.traceparent.and_then(valid_traceparent).map(str::to_owned),
        new_check_key: message.new_check_key,
        asked_by: Some(actor_of_message(envelope.user_id, envelope.app_id)),
        refuses_to_wait: false,
    }
}

fn conflict(job: &Job) -> JobOutcome {
    let reason = format!("job {} exists already with another mask, count or campaign", job.id);
    Err(Dead(Undecodable { reason, position: "/job_id".to_owned() }))
}
