//! Settles batches of messages: each is admitted, or goes to the dead queue with the reason, and is then acknowledged.

use std::io;
use std::sync::Arc;

use chrono::Utc;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::broker::admission::admit;
use crate::broker::admitter::{Admitter, Dead, Outcome};
use crate::broker::dead::dead_letter;
use crate::broker::error::BrokerError;
use crate::broker::properties::envelope_of;
use crate::broker::publish::Publisher;
use crate::broker::settings::BrokerSettings;
use codemint_codes::wire::message::Undecodable;
use codemint_telemetry::failpoint;
use codemint_telemetry::metrics::broker::messages_settled;

#[derive(Debug)]
pub(super) struct BatchSettler<A> {
    pub admitter: Arc<A>,
    pub settings: BrokerSettings,
}

/// The outcome of a batch of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// This many messages are settled.
    Done(usize),
    /// They were not acknowledged, because the store or the dead queue did not accept them in time.
    StoreAway,
}

impl<A: Admitter> BatchSettler<A> {
    /// Admits messages, and acknowledges them. Valid messages come first: the broker may accept no dead letters.
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
                Err(Dead(why)) => dead.push((delivery, why)),
                Ok(admitted) => self.acknowledge_admitted(delivery, &Ok(admitted)).await?,
            }
        }
        for (delivery, why) in dead {
            let dead_lettering = self.dead_letter(delivery, why, publisher, stop);
            // As when the store is away: the broker's own timeout for acknowledgements must not be reached.
            let Ok(dead_lettered) = timeout_at(deadline, dead_lettering).await else { return Ok(Settled::StoreAway) };
            let outcome = dead_lettered?;
            self.admitter.conclude(&Err(outcome));
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
    ) -> Result<Option<Vec<Outcome<A::Admitted>>>, BrokerError> {
        let parse = |delivery: &Delivery| self.admitter.parse(&delivery.data, &envelope_of(&delivery.properties));
        let messages: Vec<A::Parsed> = deliveries.iter().map(parse).collect();
        let (admitter, stop) = (Arc::clone(&self.admitter), stop.clone());
        let admitting = tokio::spawn(async move { admit(&*admitter, &messages, &stop).await });
        match timeout_at(deadline, admitting).await {
            Ok(admitted) => admitted.map_err(|panic| not_settled(&panic)),
            Err(_elapsed) => Ok(None),
        }
    }

    async fn acknowledge_admitted(
        &self,
        delivery: &Delivery,
        outcome: &Outcome<A::Admitted>,
    ) -> Result<(), BrokerError> {
        self.admitter.conclude(outcome);
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
    ) -> Result<Dead, BrokerError> {
        let (names, properties) = (&self.settings.names, &delivery.properties);
        let queue = self.admitter.queue(names);
        let letter = dead_letter(names, queue, properties, &delivery.data, &why, Utc::now());
        publisher.publish_until_taken(&letter, stop).await?;
        Ok(Dead(why))
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
