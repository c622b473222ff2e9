//! The outbox relay: publishes the store's events to the broker, in order per job, and deletes them once confirmed.

use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::broker::error::{BrokerError, BrokerErrorClass};
use crate::broker::publish::{Outgoing, Publisher};
use crate::runner::backoff::Backoff;
use codemint_codes::wire::event::EVENT_CONTENT_TYPE;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::records::outbox::{OutboxEvent, RELAY_BATCH_MAX};
use codemint_telemetry::metrics::broker as metrics;

/// Interval between two polls of the outbox, for events that other processes wrote.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum time from one batch to the next, so that each has many events: a batch itself costs as much as many events.
const BATCH_INTERVAL: Duration = Duration::from_millis(20);
/// Pause while another process publishes, or the broker accepts nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// Publishes the events of the outbox until `stop` is cancelled, and those that are there then.
///
/// # Errors
/// Errors of the broker that need another connection. Unconfirmed events stay in the outbox.
pub async fn relay(
    store: &Store,
    publisher: &Publisher,
    exchange: &str,
    outbox_wake: &Notify,
    stop: &CancellationToken,
) -> Result<(), BrokerError> {
    let mut backoff = Backoff::new(stop);
    let mut pace = tokio::time::interval(BATCH_INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let is_last = stop.is_cancelled();
        match relay_batch(store, publisher, exchange).await {
            Ok(Relayed::Full) => backoff.reset(),
            Ok(_) if is_last => return Ok(()),
            Ok(Relayed::NotYet) => backoff.wait(PAUSE).await,
            Ok(Relayed::All) => {
                backoff.reset();
                tokio::select! {
                    () = outbox_wake.notified() => {}
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
            Err(RelayError::Broker(error)) => return Err(error),
            Err(RelayError::Store(_)) if is_last => return Ok(()),
            Err(RelayError::Store(error)) => backoff.wait_after(&error).await,
        }
    }
}

/// The outcome of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relayed {
    /// The batch was full: there may be more events.
    Full,
    All,
    /// Another process publishes, or the broker accepts nothing at the moment.
    NotYet,
}

enum RelayError {
    Store(StoreError),
    Broker(BrokerError),
}

impl From<StoreError> for RelayError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn relay_batch(store: &Store, publisher: &Publisher, exchange: &str) -> Result<Relayed, RelayError> {
    let Some(batch) = store.claim_events().await? else { return Ok(Relayed::NotYet) };
    if batch.events.is_empty() {
        return Ok(Relayed::All);
    }
    let is_full = batch.events.len() as i64 == RELAY_BATCH_MAX;
    let (replies, events): (Vec<_>, Vec<_>) = batch.events.iter().partition(|event| event.reply_to.is_some());
    let mut done = Done::default();
    done.publish(publisher, &events, exchange).await;
    // One by one: writing to a queue without permission closes the channel, and loses everything in flight there.
    for reply in replies {
        if done.failure.is_some() {
            break;
        }
        done.answer(publisher, reply).await;
    }
    let Done { published, failure } = done;
    store.delete_events(batch, &published).await?;
    match failure {
        None if is_full => Ok(Relayed::Full),
        None => Ok(Relayed::All),
        // The publisher can be used again.
        Some(error) if error.is_temporary() => Ok(Relayed::NotYet),
        Some(error) => Err(RelayError::Broker(error)),
    }
}

/// The events that are done, and the first error.
#[derive(Default)]
struct Done {
    published: Vec<i64>,
    failure: Option<BrokerError>,
}

impl Done {
    /// Publishes events. Those after a rejected one are published again behind it: they arrive twice, not too early.
    async fn publish(&mut self, publisher: &Publisher, events: &[&OutboxEvent], exchange: &str) {
        let messages: Vec<Outgoing> =
            events.iter().map(|event| outgoing(event, exchange, &event.routing_key)).collect();
        let begun = Instant::now();
        let results = publisher.publish_all(&messages).await;
        if results.iter().any(Result::is_ok) {
            metrics::batch_confirmed(begun.elapsed());
        }
        for (event, result) in events.iter().zip(results) {
            match result {
                Ok(()) if self.failure.is_none() => {
                    metrics::event_published("confirmed");
                    self.published.push(event.no);
                }
                Ok(()) => {}
                Err(error) => {
                    count_refusal(&error);
                    self.failure = self.failure.take().or(Some(error));
                }
            }
        }
    }

    /// Publishes a reply. It is given up if the broker will never accept it: we may not write to the requested queue.
    async fn answer(&mut self, publisher: &Publisher, event: &OutboxEvent) {
        let reply_to = event.reply_to.as_deref().unwrap_or_default();
        match publisher.publish(&outgoing(event, "", reply_to)).await {
            Ok(()) => {
                metrics::event_published("confirmed");
                self.published.push(event.no);
            }
            Err(error) if error.class() == BrokerErrorClass::Permanent => {
                metrics::event_published("given_up");
                tracing::warn!(message_id = event.message_id, %error, "a reply cannot be delivered and was given up");
                self.published.push(event.no);
                self.failure = Some(error);
            }
            Err(error) => {
                count_refusal(&error);
                self.failure = Some(error);
            }
        }
    }
}

/// Counts an event that the broker refused. An event that was unconfirmed because the connection failed is not one.
fn count_refusal(error: &BrokerError) {
    if matches!(error, BrokerError::NotTaken) {
        metrics::event_published("refused");
    }
}

fn outgoing(event: &OutboxEvent, exchange: &str, routing_key: &str) -> Outgoing {
    Outgoing {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        // There may be no subscriber.
        mandatory: false,
        message_id: Some(event.message_id.clone()),
        message_type: Some(event.message_type.clone()),
        content_type: Some(EVENT_CONTENT_TYPE.to_owned()),
        correlation_id: event.correlation_id.clone(),
        body: event.payload.clone().into_bytes(),
        ..Outgoing::default()
    }
}
