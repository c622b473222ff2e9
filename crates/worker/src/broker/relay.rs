//! The outbox relay: what the store wants told goes to the broker, in order per job, and is deleted when the broker has it.

use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::broker::error::{BrokerError, ErrorClass};
use crate::broker::publish::{Outgoing, Publisher};
use crate::runner::patience::Patience;
use codemint_codes::wire::event::EVENT_CONTENT_TYPE;
use codemint_store::error::StoreError;
use codemint_store::outbox::{OutboxEvent, RELAY_BATCH_MAX};
use codemint_store::{Store, in_time};
use codemint_telemetry::metrics::broker as metrics;

/// Between two looks, for events that other processes wrote.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// From one batch to the next, so that it is no handful: a batch costs as much as many events.
const BATCH_INTERVAL: Duration = Duration::from_millis(20);
/// While another process publishes, or the broker takes nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// Publishes what is in the outbox until `stop` is cancelled, and what is there then.
///
/// # Errors
/// Those of the broker that need another connection. What was not confirmed stays in the outbox.
pub async fn relay(
    store: &Store,
    publisher: &Publisher,
    exchange: &str,
    told: &Notify,
    stop: &CancellationToken,
) -> Result<(), BrokerError> {
    let mut patience = Patience::new(stop);
    let mut pace = tokio::time::interval(BATCH_INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let is_last = stop.is_cancelled();
        match relay_batch(store, publisher, exchange).await {
            Ok(Relayed::Full) => patience.restore(),
            Ok(_) if is_last => return Ok(()),
            Ok(Relayed::NotYet) => patience.wait(PAUSE).await,
            Ok(Relayed::All) => {
                patience.restore();
                tokio::select! {
                    () = told.notified() => {}
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
            Err(RelayError::Broker(error)) => return Err(error),
            Err(RelayError::Store(_)) if is_last => return Ok(()),
            Err(RelayError::Store(error)) => patience.wait_after(&error).await,
        }
    }
}

/// What one round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relayed {
    /// There may be more.
    Full,
    All,
    /// Another process is at it, or the broker takes nothing for now.
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
    let Some(batch) = in_time(store.claim_events()).await? else { return Ok(Relayed::NotYet) };
    if batch.events.is_empty() {
        return Ok(Relayed::All);
    }
    let is_full = batch.events.len() as i64 == RELAY_BATCH_MAX;
    let (replies, events): (Vec<_>, Vec<_>) = batch.events.iter().partition(|event| event.reply_to.is_some());
    let mut done = Done::default();
    done.publish(publisher, &events, exchange).await;
    // One by one: a queue that we may not write to costs the channel, and with it everything that is under way there.
    for reply in replies {
        if done.failure.is_some() {
            break;
        }
        done.answer(publisher, reply).await;
    }
    let Done { published, failure } = done;
    in_time(store.delete_events(batch, &published)).await?;
    match failure {
        None if is_full => Ok(Relayed::Full),
        None => Ok(Relayed::All),
        // The publisher can be used again.
        Some(error) if error.passes_by_itself() => Ok(Relayed::NotYet),
        Some(error) => Err(RelayError::Broker(error)),
    }
}

/// What is done with, and the first thing that went wrong.
#[derive(Default)]
struct Done {
    published: Vec<i64>,
    failure: Option<BrokerError>,
}

impl Done {
    /// Events that follow one which was not taken are published again behind it: they arrive twice rather than too early.
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

    /// An answer that the broker will never take is given up: whoever asked named a queue that we may not write to.
    async fn answer(&mut self, publisher: &Publisher, event: &OutboxEvent) {
        let reply_to = event.reply_to.as_deref().unwrap_or_default();
        match publisher.publish(&outgoing(event, "", reply_to)).await {
            Ok(()) => {
                metrics::event_published("confirmed");
                self.published.push(event.no);
            }
            Err(error) if error.class() == ErrorClass::Permanent => {
                metrics::event_published("given_up");
                tracing::warn!(message_id = event.message_id, %error, "an answer is given up");
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

/// An event that was not confirmed for want of a connection was not refused.
fn count_refusal(error: &BrokerError) {
    if matches!(error, BrokerError::NotTaken) {
        metrics::event_published("refused");
    }
}

fn outgoing(event: &OutboxEvent, exchange: &str, routing_key: &str) -> Outgoing {
    Outgoing {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        // Nobody need be listening.
        mandatory: false,
        message_id: Some(event.message_id.clone()),
        message_type: Some(event.message_type.clone()),
        content_type: Some(EVENT_CONTENT_TYPE.to_owned()),
        correlation_id: event.correlation_id.clone(),
        body: event.payload.clone().into_bytes(),
        ..Outgoing::default()
    }
}
