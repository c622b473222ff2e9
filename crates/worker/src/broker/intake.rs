//! Intake: admits the messages of a queue. A message is acknowledged once what it asks for is committed, or the dead queue has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::broker::admitter::Admitter;
use crate::broker::connection::BrokerConnection;
use crate::broker::error::BrokerError;
use crate::broker::publish::Publisher;
use crate::broker::settings::BrokerSettings;
use crate::broker::settle::{BatchSettler, Settled, not_settled};
use crate::runner::backoff::Backoff;
use codemint_telemetry::metrics::broker::messages_settled;

/// Maximum number of batches at once: one is committed while the next one comes in.
const BATCHES_MAX: usize = 2;
const STORE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Consumes the messages of a queue, and has them settled in batches.
#[derive(Debug)]
pub(super) struct Intake<A> {
    settler: Arc<BatchSettler<A>>,
    unsettled: AtomicUsize,
}

/// The reason why consuming ended without an error of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Stopped,
    /// A message has waited for the store up to the time limit.
    StoreAway,
}

impl<A: Admitter> Intake<A> {
    pub fn new(admitter: A, settings: BrokerSettings) -> Self {
        let settler = BatchSettler { admitter: Arc::new(admitter), settings };
        Self { settler: Arc::new(settler), unsettled: AtomicUsize::new(0) }
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
        // A session that holds one message at a time does so for every queue.
        let prefetch = if prefetch > 1 { prefetch.saturating_mul(A::PREFETCH_FACTOR) } else { prefetch };
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
        while !stop.is_cancelled() && self.settler.admitter.store().ping().await.is_err() {
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
        let queue: ShortString = self.settler.admitter.queue(&self.settler.settings.names).into();
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
        let mut batches = consumer.ready_chunks(A::BATCH_MAX);
        let mut settling = JoinSet::new();
        let served = loop {
            tokio::select! {
                Some(settled) = settling.join_next() => match settled.unwrap_or_else(|panic| Err(not_settled(&panic))) {
                    Ok(Settled::Done(count)) => _ = self.unsettled.fetch_sub(count, Ordering::Relaxed),
                    Ok(Settled::StoreAway) => break Ok(Served::StoreAway),
                    Err(error) => break Err(error),
                },
                // Messages that arrive while these are admitted form the next batch.
                batch = batches.next(), if settling.len() < BATCHES_MAX => match deliveries_of(batch) {
                    Ok(deliveries) => self.begin_settling(&mut settling, deliveries, publisher, stop),
                    Err(error) => break Err(error),
                },
                () = stop.cancelled() => break finish(channel, tag, &mut settling).await.map(|()| Served::Stopped),
            }
        };
        // Admissions in progress are not aborted: they may be committing. Nothing waits for them.
        settling.detach_all();
        served
    }

    fn begin_settling(
        &self,
        settling: &mut Settling,
        deliveries: Vec<Delivery>,
        publisher: &Arc<Publisher>,
        stop: &CancellationToken,
    ) {
        self.unsettled.fetch_add(deliveries.len(), Ordering::Relaxed);
        let (settler, publisher, stop) = (Arc::clone(&self.settler), Arc::clone(publisher), stop.clone());
        settling.spawn(async move { settler.settle(deliveries, &publisher, &stop).await });
    }
}

/// The batches that are being settled.
type Settling = JoinSet<Result<Settled, BrokerError>>;

/// Ends the consumer and lets the current batches finish: admissions end by themselves, or give up when the store is
/// away.
async fn finish(channel: &Channel, tag: ShortString, settling: &mut Settling) -> Result<(), BrokerError> {
    let cancelled = channel.basic_cancel(tag, BasicCancelOptions::default()).await;
    cancelled.map_err(|error| BrokerError::of_channel(&error))?;
    while let Some(settled) = settling.join_next().await {
        settled.unwrap_or(Ok(Settled::StoreAway))?;
    }
    Ok(())
}

fn deliveries_of(batch: Option<Vec<lapin::Result<Delivery>>>) -> Result<Vec<Delivery>, BrokerError> {
    let deliveries: Result<Vec<Delivery>, _> = batch.into_iter().flatten().collect();
    match deliveries {
        Ok(deliveries) if deliveries.is_empty() => Err(consumer_ended()),
        deliveries => deliveries.map_err(|error| BrokerError::of_channel(&error)),
    }
}

fn consumer_ended() -> BrokerError {
    BrokerError::Lost { problem: "the broker ended the consumer".to_owned() }
}
