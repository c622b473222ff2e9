//! Turns a job message into a stored job. This step does not know the broker.

use uuid::Uuid;

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
use codemint_store::records::audit::{AuditEntry, Outcome};

/// The store that jobs are admitted to, and the rules of admission.
#[derive(Clone, Debug)]
pub struct Admission {
    pub store: Store,
    pub policy: Policy,
    pub limits: Limits,
    pub chunk_size: u64,
}

/// The outcome of a message. Each one is final: the message needs no further handling.
#[derive(Debug)]
pub enum Admitted {
    /// A new job, which will be minted.
    New(Job),
    /// A repeated request; the event with the state of its job is published again.
    Repeated(Job),
    /// A request that cannot be met: its job is stored as failed, and the event has the reason.
    Refused(Job),
    /// Not a valid request, or a different request under an id that is taken.
    Dead(Undecodable),
}

impl Admitted {
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::New(_) => "accepted",
            Self::Repeated(_) => "repeated",
            Self::Refused(_) => "refused",
            Self::Dead(_) => "dead_lettered",
        }
    }
}

/// A message as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub body: &'a [u8],
    pub envelope: Envelope<'a>,
}

/// The request of one message, as far as it can be judged without the store.
enum Parsed {
    Valid(JobMessage, Box<Request>),
    /// A request that cannot be met.
    Unsatisfiable(JobMessage, JobOptions, JobError),
    Malformed(Undecodable),
}

impl Admission {
    /// Stores the requested jobs, in one transaction where possible. Idempotent, so an unknown outcome may be retried.
    ///
    /// # Errors
    /// An error of the store says nothing about a message. Some of the jobs may be stored.
    pub async fn admit(&self, messages: &[Incoming<'_>]) -> Result<Vec<Admitted>, StoreError> {
        let parsed: Vec<Parsed> = messages.iter().map(|message| self.read(message)).collect();
        let requests: Vec<(Uuid, &Request)> = parsed
            .iter()
            .filter_map(|parsed| match parsed {
                Parsed::Valid(message, request) => Some((message.job_id, &**request)),
                _ => None,
            })
            .collect();
        let put = if requests.is_empty() { Vec::new() } else { self.store.put_jobs(&requests).await? };
        let mut put = put.into_iter();
        let mut admitted = Vec::with_capacity(messages.len());
        for parsed in &parsed {
            admitted.push(match parsed {
                Parsed::Malformed(undecodable) => Admitted::Dead(undecodable.clone()),
                Parsed::Unsatisfiable(message, options, error) => self.refuse(message, options, error.clone()).await?,
                Parsed::Valid(message, request) => match put.next() {
                    Some(PutJob::Stored(job)) => Admitted::New(job),
                    Some(PutJob::InsufficientKeyspace { free, exact, .. }) => {
                        self.refuse(message, &request.options, insufficient_keyspace(free, exact, message.count))
                            .await?
                    }
                    Some(PutJob::Known(job)) => self.known(job, message, &request.options).await?,
                    // There is one result for each request.
                    None => continue,
                },
            });
        }
        Ok(admitted)
    }

    fn read(&self, incoming: &Incoming<'_>) -> Parsed {
        let Incoming { body, envelope } = incoming;
        let message = match decode(body, envelope) {
            Ok(message) => message,
            Err(undecodable) => return Parsed::Malformed(undecodable),
        };
        let options = JobOptions {
            priority: message.priority,
            emits_events: true,
            reply_to: envelope.reply_to.map(str::to_owned),
            correlation_id: envelope.correlation_id.map(str::to_owned),
            traceparent: envelope.traceparent.and_then(valid_traceparent).map(str::to_owned),
            asked_by: Some(actor_of_message(envelope.user_id, envelope.app_id)),
        };
        match self.request(&message) {
            Ok(request) => Parsed::Valid(message, Box::new(request.with_options(options))),
            Err(error) => {
                let error = JobError { code: error.code().to_owned(), message: error.to_string() };
                Parsed::Unsatisfiable(message, options, error)
            }
        }
    }

    fn request(&self, message: &JobMessage) -> Result<Request, RequestError> {
        let chunk_size = fitting_chunk_size(self.chunk_size, message.count.min(self.limits.count_max));
        let campaign = message.campaign.as_deref();
        Request::check(&message.mask, i128::from(message.count), campaign, chunk_size, self.limits)?
            .under(self.policy.clone())
    }

    async fn refuse(
        &self,
        message: &JobMessage,
        options: &JobOptions,
        error: JobError,
    ) -> Result<Admitted, StoreError> {
        let JobMessage { job_id, mask, count, campaign, .. } = message.clone();
        let options = options.clone();
        let request = RefusedRequest { id: job_id, mask_text: mask, count, campaign, options, error };
        match self.store.put_refused(&request).await? {
            PutRefused::Stored(job) => Ok(Admitted::Refused(job)),
            PutRefused::Known(job) => self.known(job, message, &request.options).await,
        }
    }

    async fn known(&self, job: Job, message: &JobMessage, options: &JobOptions) -> Result<Admitted, StoreError> {
        if !job.asks_for(&message.mask, message.count, message.campaign.as_deref()) {
            let parsed = (&*message.mask, message.count, message.campaign.as_deref());
            let entry = AuditEntry::of_request(Outcome::Conflict, job.id, parsed).asked_by(options);
            self.store.put_audit(&entry).await?;
            let reason = format!("job {} exists already with another mask, count or campaign", job.id);
            return Ok(Admitted::Dead(Undecodable { reason, position: "/job_id".to_owned() }));
        }
        self.store.repeat_event(job.no, options).await?;
        Ok(Admitted::Repeated(job))
    }
}

fn insufficient_keyspace(free: u128, exact: bool, count: u64) -> JobError {
    let about = if exact { "" } else { "about " };
    let message = format!("the mask has {about}{free} free codes, {count} were requested");
    JobError { code: "insufficient_keyspace".to_owned(), message }
}
