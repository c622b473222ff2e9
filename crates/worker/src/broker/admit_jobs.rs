//! The intake of jobs: what follows from their admission.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::broker::admit::{AdmittedJob, JobAdmitter, Parsed};
use crate::broker::admitter::{Admitter, Dead, Outcome};
use crate::broker::settings::BrokerNames;
use crate::runner::pool::Pool;
use codemint_codes::wire::message::Envelope;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_telemetry::metrics::jobs::message_received;

/// The intake of jobs.
#[derive(Debug)]
pub(super) struct JobIntake {
    pub admitter: JobAdmitter,
    pub pool: Pool,
    /// Signals that there may be events to publish.
    pub outbox_wake: Arc<Notify>,
}

impl Admitter for JobIntake {
    type Parsed = Parsed;
    type Admitted = AdmittedJob;

    const NOUN: &'static str = "job";
    const BATCH_MAX: usize = 64;
    const PREFETCH_FACTOR: u16 = 1;

    fn store(&self) -> &Store {
        &self.admitter.store
    }

    fn queue<'n>(&self, names: &'n BrokerNames) -> &'n str {
        &names.jobs_queue
    }

    fn parse(&self, body: &[u8], envelope: &Envelope<'_>) -> Parsed {
        self.admitter.parse(body, envelope)
    }

    async fn admit(&self, messages: &[Parsed]) -> Result<Vec<Outcome<AdmittedJob>>, StoreError> {
        Box::pin(self.admitter.admit(messages)).await
    }

    fn conclude(&self, outcome: &Outcome<AdmittedJob>) {
        match outcome {
            Ok(admitted) => {
                message_received(admitted.into_str());
                log_admitted(admitted);
                if let AdmittedJob::New(job) = admitted {
                    self.pool.offer(job);
                }
            }
            Err(Dead(why)) => {
                message_received("dead_lettered");
                tracing::warn!(
                    reason = why.reason,
                    position = why.position,
                    "a message was not a valid job and was dead-lettered; see `codemint dlq list`"
                );
            }
        }
        self.outbox_wake.notify_one();
    }
}

fn log_admitted(admitted: &AdmittedJob) {
    match admitted {
        AdmittedJob::New(job) => {
            tracing::info!(job_id = %job.id, count = job.count, priority = job.options.priority, "a job was accepted");
        }
        AdmittedJob::Repeated(job) => {
            tracing::info!(job_id = %job.id, state = %job.state, "a job was asked for again");
        }
        AdmittedJob::Refused(job) => {
            let code = job.error.as_ref().map(|error| error.code.as_str());
            tracing::warn!(job_id = %job.id, code, "a job was refused; its failed event has the reason");
        }
    }
}
