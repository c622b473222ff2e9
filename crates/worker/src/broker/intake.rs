//! Intake: turns job messages into jobs. A message is acknowledged once its job is committed, or the dead queue has it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::broker::admit::{Admission, Admitted, Incoming};
use crate::broker::connection::BrokerConnection;
use crate::broker::dead::{dead_letter, text_of};
use crate::broker::error::BrokerError;
use crate::broker::publish::Publisher;
use crate::broker::settings::BrokerSettings;
use crate::runner::backoff::Backoff;
use crate::runner::pool::Pool;
use codemint_codes::wire::message::Envelope;
use codemint_codes::wire::trace::TRACEPARENT_HEADER;
use codemint_telemetry::failpoint;
use codemint_telemetry::metrics::broker::messages_settled;
use codemint_telemetry::metrics::jobs::message_received;

/// Maximum number of messages that are admitted in one transaction.
const BATCH_MAX: usize = 64;
/// Maximum number of batches at once: one is committed while the next one comes in.
const BATCHES_MAX: usize = 2;
const STORE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Turns messages into jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    admission: Arc<Admission>,
    settings: Arc<BrokerSettings>,
    pool: Pool,
    /// Signals that there may be events to publish.
    outbox_wake: Arc<Notify>,
    unsettled: Arc<AtomicUsize>,
}

/// The reason why consuming ended without an error of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Stopped,
    /// A message has waited for the store up to the time limit.
    StoreAway,
}

impl Intake {
    pub fn new(admission: Admission, settings: BrokerSettings, pool: Pool, outbox_wake: Arc<Notify>) -> Self {
        let (admission, settings) = (Arc::new(admission), Arc::new(settings));
        Self { admission, settings, pool, outbox_wake, unsettled: Arc::default() }
    }

    /// Returns the number of messages that are held and not yet acknowledged.
    pub fn unsettled(&self) -> usize {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Consumes until `stop` is cancelled. While the store does not answer, nothing is consumed.
    ///
    /// # Errors
    /// If the broker fails; unacknowledged messages then return to the queue.
    pub async fn run(
        &self,
        connection: &BrokerConnection,
        prefetch: u16,
        publisher: &Arc<Publisher>,
        stop: &CancellationToken,
    ) -> Result<(), BrokerError> {
        loop {
            self.wait_for_store(stop).await;
            if stop.is_cancelled() {
                return Ok(());
            }
            let channel = connection.channel().await?;
            let consumer = self.consume(connection, &channel, prefetch).await?;
            let served = self.serve(&channel, consumer, publisher, stop).await;
            let held = self.unsettled.swap(0, Ordering::Relaxed);
            match served? {
                Served::Stopped => return Ok(()),
                Served::StoreAway => {
                    messages_settled("returned", held);
                    tracing::warn!("the store is away for too long: messages go back to their queue until it answers");
                    // Closing the channel returns its messages, all at once and only once.
                    connection.answered(channel.close(200, "the store is away".into())).await?;
                }
            }
        }
    }

    async fn wait_for_store(&self, stop: &CancellationToken) {
        let backoff = Backoff::new(stop);
        while !stop.is_cancelled() && self.admission.store.ping().await.is_err() {
            backoff.wait(STORE_LOOK_INTERVAL).await;
        }
    }

    async fn consume(
        &self,
        connection: &BrokerConnection,
        channel: &Channel,
        prefetch: u16,
    ) -> Result<Consumer, BrokerError> {
        connection.answered(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let queue: ShortString = self.settings.names.jobs_queue.as_str().into();
        // The broker chooses the consumer's name.
        let tag = ShortString::default();
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        Box::pin(connection.answered(channel.basic_consume(queue, tag, options, arguments))).await
    }

    async fn serve(
        &self,
        channel: &Channel,
        consumer: Consumer,
        publisher: &Arc<Publisher>,
        stop: &CancellationToken,
    ) -> Result<Served, BrokerError> {
        let tag = consumer.tag();
        let mut batches = consumer.ready_chunks(BATCH_MAX);
        let mut tasks = JoinSet::new();
        let mut held = 0;
        let served = loop {
            self.unsettled.store(held, Ordering::Relaxed);
            tokio::select! {
                settled = tasks.join_next(), if !tasks.is_empty() => match settled {
                    Some(Ok(Ok(Settled::Done(count)))) => held -= count,
                    Some(Ok(Ok(Settled::StoreAway))) => break Ok(Served::StoreAway),
                    Some(Ok(Err(error))) => break Err(error),
                    // Its messages return to the queue with the connection, and it counts against their delivery limit.
                    Some(Err(panic)) => break Err(not_settled(&panic)),
                    None => {}
                },
                // Messages that arrive while these are admitted form the next batch.
                batch = batches.next(), if tasks.len() < BATCHES_MAX => {
                    let deliveries: Result<Vec<Delivery>, _> = batch.into_iter().flatten().collect();
                    match deliveries {
                        Ok(deliveries) if deliveries.is_empty() => break Err(consumer_ended()),
                        Ok(deliveries) => {
                            held += deliveries.len();
                            let (intake, publisher, stop) = (self.clone(), Arc::clone(publisher), stop.clone());
                            tasks.spawn(async move { intake.settle(deliveries, &publisher, &stop).await });
                        }
                        Err(error) => break Err(BrokerError::of_channel(&error)),
                    }
                },
                () = stop.cancelled() => break Ok(Served::Stopped),
            }
        };
        if matches!(served, Ok(Served::Stopped)) {
            // The current batches are finished: admissions end by themselves, or give up when the store is away.
            let cancelled = channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            cancelled.map_err(|error| BrokerError::of_channel(&error))?;
            while let Some(settled) = tasks.join_next().await {
                settled.unwrap_or(Ok(Settled::StoreAway))?;
            }
        }
        // Admissions in progress are not aborted: they may be committing. Nothing waits for them.
        tasks.detach_all();
        served
    }

    /// Turns messages into jobs, and acknowledges them.
    async fn settle(
        &self,
        deliveries: Vec<Delivery>,
        publisher: &Publisher,
        stop: &CancellationToken,
    ) -> Result<Settled, BrokerError> {
        let deadline = Instant::now() + self.settings.delivery_timeout;
        let deliveries = Arc::new(deliveries);
        let (intake, messages, stopping) = (self.clone(), Arc::clone(&deliveries), stop.clone());
        let admitting = tokio::spawn(async move { intake.admit(&messages, &stopping).await });
        let admitted = match timeout_at(deadline, admitting).await {
            Ok(Ok(Some(admitted))) => admitted,
            // Stopped while the store was away.
            Ok(Ok(None)) | Err(_) => return Ok(Settled::StoreAway),
            Ok(Err(panic)) => return Err(not_settled(&panic)),
        };
        let (dead, alive): (Vec<_>, Vec<_>) =
            deliveries.iter().zip(&admitted).partition(|(_, admitted)| matches!(admitted, Admitted::Dead(_)));
        for (delivery, admitted) in alive {
            self.log_outcome(admitted);
            failpoint::reach(failpoint::JOB_COMMITTED).await.map_err(|error| lost(&error))?;
            acknowledge(delivery).await?;
            messages_settled("acknowledged", 1);
        }
        for (delivery, admitted) in dead {
            match timeout_at(deadline, self.dead_letter(delivery, admitted, publisher, stop)).await {
                Ok(dead_lettered) => dead_lettered?,
                // As when the store is away: the broker's own timeout for acknowledgements must not be reached.
                Err(_elapsed) => return Ok(Settled::StoreAway),
            }
            self.log_outcome(admitted);
            acknowledge(delivery).await?;
            messages_settled("dead_lettered", 1);
        }
        Ok(Settled::Done(deliveries.len()))
    }

    /// Retries until the store answers; `None` if a stop comes first. An error of the store says nothing of a message.
    async fn admit(&self, deliveries: &[Delivery], stop: &CancellationToken) -> Option<Vec<Admitted>> {
        let properties: Vec<TextProperties> = deliveries.iter().map(TextProperties::of).collect();
        let incoming = deliveries.iter().zip(&properties);
        let messages: Vec<Incoming<'_>> = incoming
            .map(|(delivery, properties)| Incoming { body: &delivery.data, envelope: properties.envelope() })
            .collect();
        let mut backoff = Backoff::new(stop);
        loop {
            match Box::pin(self.admission.admit(&messages)).await {
                Ok(admitted) => {
                    backoff.reset();
                    return Some(admitted);
                }
                Err(_) if stop.is_cancelled() => return None,
                Err(error) => backoff.wait_after(&error).await,
            }
        }
    }

    /// Dead-letters a message. Waits while the broker accepts none; valid messages are handled meanwhile.
    async fn dead_letter(
        &self,
        delivery: &Delivery,
        admitted: &Admitted,
        publisher: &Publisher,
        stop: &CancellationToken,
    ) -> Result<(), BrokerError> {
        let Admitted::Dead(why) = admitted else { return Ok(()) };
        let letter = dead_letter(
            &self.settings.names,
            &delivery.properties,
            &delivery.data,
            &why.reason,
            &why.position,
            Utc::now(),
        );
        publisher.publish_until_taken(&letter, stop).await
    }

    fn log_outcome(&self, admitted: &Admitted) {
        message_received(admitted.outcome());
        match admitted {
            Admitted::New(job) => {
                tracing::info!(job_id = %job.id, count = job.count, priority = job.options.priority, "a job was accepted");
                self.pool.offer(job);
            }
            Admitted::Repeated(job) => {
                tracing::info!(job_id = %job.id, state = %job.state, "a job was asked for again")
            }
            Admitted::Refused(job) => {
                let code = job.error.as_ref().map(|error| error.code.as_str());
                tracing::warn!(job_id = %job.id, code, "a job was refused; its failed event has the reason");
            }
            Admitted::Dead(why) => {
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

/// The outcome of a batch of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// This many messages are settled.
    Done(usize),
    /// They were not acknowledged, because the store or the dead queue did not accept them in time.
    StoreAway,
}

/// The text properties of a message that are read.
struct TextProperties {
    texts: [Option<String>; 8],
    traceparent: Option<String>,
}

impl TextProperties {
    fn of(delivery: &Delivery) -> Self {
        let properties = &delivery.properties;
        let of_interest = [
            properties.message_id(),
            properties.kind(),
            properties.content_type(),
            properties.content_encoding(),
            properties.reply_to(),
            properties.correlation_id(),
            properties.user_id(),
            properties.app_id(),
        ];
        let texts = of_interest.map(|text| text.as_ref().map(ToString::to_string));
        let headers = properties.headers().as_ref();
        Self { texts, traceparent: headers.and_then(|headers| text_of(headers, TRACEPARENT_HEADER)) }
    }

    fn envelope(&self) -> Envelope<'_> {
        let texts = self.texts.each_ref().map(Option::as_deref);
        let [message_id, message_type, content_type, content_encoding, reply_to, correlation_id, user_id, app_id] =
            texts;
        Envelope {
            message_id,
            message_type,
            content_type,
            content_encoding,
            reply_to,
            correlation_id,
            user_id,
            app_id,
            traceparent: self.traceparent.as_deref(),
        }
    }
}

async fn acknowledge(delivery: &Delivery) -> Result<(), BrokerError> {
    match delivery.acker.ack(BasicAckOptions::default()).await.map_err(|error| BrokerError::of_channel(&error))? {
        true => Ok(()),
        false => Err(BrokerError::Lost { problem: "a message could not be acknowledged".to_owned() }),
    }
}

fn consumer_ended() -> BrokerError {
    BrokerError::Lost { problem: "the broker ended the consumer".to_owned() }
}

fn lost(error: &io::Error) -> BrokerError {
    BrokerError::Lost { problem: error.to_string() }
}

fn not_settled(panic: &JoinError) -> BrokerError {
    BrokerError::Lost { problem: format!("handling a message failed: {panic}") }
}
