//! Settles batches of messages: each becomes a job, or goes to the dead queue with the reason, and is then acknowledged.

use std::io;
use std::sync::Arc;

use chrono::Utc;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use tokio::sync::Notify;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::broker::admission::admit;
use crate::broker::admit::{JobAdmitter, MessageOutcome, Parsed};
use crate::broker::dead::dead_letter;
use crate::broker::error::BrokerError;
use crate::broker::properties::envelope_of;
use crate::broker::publish::Publisher;
use crate::broker::settings::BrokerSettings;
use crate::runner::pool::Pool;
use codemint_codes::wire::message::Undecodable;
use codemint_telemetry::failpoint;
use codemint_telemetry::metrics::broker::messages_settled;
use codemint_telemetry::metrics::jobs::message_received;

#[derive(Debug)]
pub(super) struct BatchSettler {
    pub admitter: Arc<JobAdmitter>,
    pub settings: BrokerSettings,
    pub pool: Pool,
    /// Signals that there may be events to publish.
    pub outbox_wake: Arc<Notify>,
}

/// The outcome of a batch of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// This many messages are settled.
    Done(usize),
    /// They were not acknowledged, because the store or the dead queue did not accept them in time.
    StoreAway,
}

impl BatchSettler {
    /// Turns messages into jobs, and acknowledges them. Valid messages come first: the broker may accept no dead letters.
    pub async fn settle(
        &self,
        deliveries: Vec<Delivery>,
        publisher: &Publisher,
        stop: &CancellationToken,
    ) -> Result<Settled, BrokerError> {
        let deadline = Instant::now() + self.settings.delivery_timeout;
        let Some(outcomes) = self.admit_until(deadline, &deliveries, stop).await? else {
            return Ok(Settled::StoreAway);
        };
        let mut dead = Vec::new();
        for (delivery, outcome) in deliveries.iter().zip(outcomes) {
            match outcome {
                MessageOutcome::Dead(why) => dead.push((delivery, why)),
                admitted => self.acknowledge_admitted(delivery, &admitted).await?,
            }
        }
        for (delivery, why) in dead {
            let dead_lettering = self.dead_letter(delivery, why, publisher, stop);
            // As when the store is away: the broker's own timeout for acknowledgements must not be reached.
            let Ok(dead_lettered) = timeout_at(deadline, dead_lettering).await else { return Ok(Settled::StoreAway) };
            let outcome = dead_lettered?;
            self.conclude(&outcome);
            acknowledge(delivery).await?;
            messages_settled("dead_lettered", 1);
        }
        Ok(Settled::Done(deliveries.len()))
    }

    /// Returns `None` after the deadline, and if a stop comes while the store is away. An admission in progress is not
    /// aborted: it may be committing.
    async fn admit_until(
        &self,
        deadline: Instant,
        deliveries: &[Delivery],
        stop: &CancellationToken,
    ) -> Result<Option<Vec<MessageOutcome>>, BrokerError> {
        let parse = |delivery: &Delivery| self.admitter.parse(&delivery.data, &envelope_of(&delivery.properties));
        let messages: Vec<Parsed> = deliveries.iter().map(parse).collect();
        let (admitter, stop) = (Arc::clone(&self.admitter), stop.clone());
        let admitting = tokio::spawn(async move { admit(&admitter, &messages, &stop).await });
        match timeout_at(deadline, admitting).await {
            Ok(admitted) => admitted.map_err(|panic| not_settled(&panic)),
            Err(_elapsed) => Ok(None),
        }
    }

    async fn acknowledge_admitted(&self, delivery: &Delivery, outcome: &MessageOutcome) -> Result<(), BrokerError> {
        self.conclude(outcome);
        failpoint::reach(failpoint::JOB_COMMITTED).await.map_err(|error| lost(&error))?;
        acknowledge(delivery).await?;
        messages_settled("acknowledged", 1);
        Ok(())
    }

    /// Waits while the broker accepts no message; other batches are settled meanwhile.
    async fn dead_letter(
        &self,
        delivery: &Delivery,
        why: Undecodable,
        publisher: &Publisher,
        stop: &CancellationToken,
    ) -> Result<MessageOutcome, BrokerError> {
        let (names, properties) = (&self.settings.names, &delivery.properties);
        let letter = dead_letter(names, properties, &delivery.data, &why, Utc::now());
        publisher.publish_until_taken(&letter, stop).await?;
        Ok(MessageOutcome::Dead(why))
    }

    fn conclude(&self, outcome: &MessageOutcome) {
        message_received(outcome.into_str());
        log_outcome(outcome);
        if let MessageOutcome::New(job) = outcome {
            self.pool.offer(job);
        }
        self.outbox_wake.notify_one();
    }
}

fn log_outcome(outcome: &MessageOutcome) {
    match outcome {
        MessageOutcome::New(job) => {
            tracing::info!(job_id = %job.id, count = job.count, priority = job.options.priority, "a job was accepted");
        }
        MessageOutcome::Repeated(job) => {
            tracing::info!(job_id = %job.id, state = %job.state, "a job was asked for again");
        }
        MessageOutcome::Refused(job) => {
            let code = job.error.as_ref().map(|error| error.code.as_str());
            tracing::warn!(job_id = %job.id, code, "a job was refused; its failed event has the reason");
        }
        MessageOutcome::Dead(why) => {
            tracing::warn!(
                reason = why.reason,
                position = why.position,
                "a message was not a valid job and was dead-lettered; see `codemint dlq list`"
            );
        }
    }
}

async fn acknowledge(delivery: &Delivery) -> Result<(), BrokerError> {
    match delivery.acker.ack(BasicAckOptions::default()).await.map_err(|error| BrokerError::of_channel(&error))? {
        true => Ok(()),
        false => Err(BrokerError::Lost { problem: "a message could not be acknowledged".to_owned() }),
    }
}

fn lost(error: &io::Error) -> BrokerError {
    BrokerError::Lost { problem: error.to_string() }
}

/// Its messages return to the queue with the connection, and it counts against their delivery limit.
pub(super) fn not_settled(panic: &JoinError) -> BrokerError {
    BrokerError::Lost { problem: format!("handling a message failed: {panic}") }
}
