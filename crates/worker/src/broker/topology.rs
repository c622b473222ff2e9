//! Exchanges and queues: declared at the start, or only checked where an operator declares them.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::broker::connection::BrokerConnection;
use crate::broker::error::BrokerError;
use crate::broker::publish::short;
use crate::broker::settings::BrokerSettings;

/// How often the broker is asked for the depth of a queue until it finds messages: if the leader of a quorum queue does not answer within
/// a quarter of a second, RabbitMQ says 0 (`rabbit_quorum_queue:stat/1`).
const DEPTH_ASKED: u32 = 3;

/// Declares everything, or checks that it exists, depending on the settings. Idempotent.
///
/// # Errors
/// `Mismatch` if something exists with other arguments, `Missing`, `NotPermitted`, or an error of the connection.
pub async fn declare(connection: &BrokerConnection, settings: &BrokerSettings) -> Result<(), BrokerError> {
    let entities = entities(settings)?;
    if settings.declare { declare_all(connection, entities).await } else { check_all(connection, entities).await }
}

/// Returns how many messages wait in a queue, and how many consumers it has.
///
/// # Errors
/// `Missing` if there is no such queue, or an error of the connection.
pub async fn queue_depth(connection: &BrokerConnection, queue: &str) -> Result<QueueDepth, BrokerError> {
    let channel = connection.channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let name = short("queue name", queue)?;
    let mut depth = QueueDepth { messages: 0, consumers: 0 };
    for _ in 0..DEPTH_ASKED {
        let asked = channel.queue_declare(name.clone(), passive, FieldTable::default());
        let found = connection.answered(asked).await?;
        depth = QueueDepth { messages: found.message_count(), consumers: found.consumer_count() };
        if depth.messages > 0 {
            break;
        }
    }
    Ok(depth)
}

/// The messages and consumers of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages ready to be delivered.
    pub messages: u32,
    pub consumers: u32,
}

/// One entity to declare or to check.
enum Entity {
    Exchange { name: ShortString, kind: ExchangeKind },
    Queue { name: ShortString, arguments: FieldTable },
    Binding { queue: ShortString, exchange: ShortString, routing_key: ShortString },
}

/// Returns all entities. The dead-letter ones come first: no other queue must ever be without a place for rejects.
fn entities(settings: &BrokerSettings) -> Result<[Entity; 10], BrokerError> {
    let names = &settings.names;
    let dead_exchange = short("name of the dead exchange", &names.dead_exchange)?;
    let dead_queue = short("name of the dead queue", &names.dead_queue)?;
    let jobs_exchange = short("name of the jobs exchange", &names.jobs_exchange)?;
    let jobs_queue = short("name of the jobs queue", &names.jobs_queue)?;
    let triggers_exchange = short("name of the triggers exchange", &names.triggers_exchange)?;
    let triggers_queue = short("name of the triggers queue", &names.triggers_queue)?;
    let events_exchange = short("name of the events exchange", &names.events_exchange)?;
    Ok([
        Entity::Exchange { name: dead_exchange.clone(), kind: ExchangeKind::Fanout },
        Entity::Queue { name: dead_queue.clone(), arguments: dead_queue_arguments() },
        Entity::Binding { queue: dead_queue, exchange: dead_exchange.clone(), routing_key: "".into() },
        Entity::Exchange { name: jobs_exchange.clone(), kind: ExchangeKind::Direct },
        Entity::Queue {
            name: jobs_queue.clone(),
            arguments: intake_queue_arguments(settings.delivery_limit, &dead_exchange),
        },
        Entity::Binding { queue: jobs_queue.clone(), exchange: jobs_exchange, routing_key: jobs_queue },
        Entity::Exchange { name: triggers_exchange.clone(), kind: ExchangeKind::Direct },
        Entity::Queue {
            name: triggers_queue.clone(),
            arguments: intake_queue_arguments(settings.delivery_limit, &dead_exchange),
        },
        Entity::Binding { queue: triggers_queue.clone(), exchange: triggers_exchange, routing_key: triggers_queue },
        Entity::Exchange { name: events_exchange, kind: ExchangeKind::Topic },
    ])
}

/// Returns the arguments of a classic queue, whatever the broker's default type: browsing puts every message back, and
/// a quorum queue of RabbitMQ 4 drops messages that were put back 20 times.
fn dead_queue_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments
}

/// Returns the required arguments only: everything else is for the operator's policies, which could not change it if it
/// were an argument.
fn intake_queue_arguments(delivery_limit: u32, dead_exchange: &ShortString) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(delivery_limit.into()));
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(dead_exchange.as_str().into()));
    arguments
}

async fn declare_all(connection: &BrokerConnection, entities: [Entity; 10]) -> Result<(), BrokerError> {
    let channel = connection.channel().await?;
    for entity in entities {
        connection.answered(Box::pin(entity.declare(&channel))).await?;
    }
    connection.answered(channel.close(200, "done".into())).await
}

/// Checks that everything exists, and reports all that is missing at once. Bindings and arguments cannot be checked.
/// Each check that finds nothing closes its channel.
async fn check_all(connection: &BrokerConnection, entities: [Entity; 10]) -> Result<(), BrokerError> {
    let mut missing = Vec::new();
    for entity in entities {
        let channel = connection.channel().await?;
        match connection.answered(Box::pin(entity.check(&channel))).await {
            Err(BrokerError::Missing { entities }) => missing.extend(entities),
            checked => {
                checked?;
                connection.answered(channel.close(200, "done".into())).await?;
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(BrokerError::Missing { entities: missing }) }
}

impl Entity {
    async fn declare(self, channel: &Channel) -> lapin::Result<()> {
        match self {
            Self::Exchange { name, kind } => {
                let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
                channel.exchange_declare(name, kind, durable, FieldTable::default()).await
            }
            Self::Queue { name, arguments } => {
                let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
                channel.queue_declare(name, durable, arguments).await.map(drop)
            }
            Self::Binding { queue, exchange, routing_key } => {
                let options = QueueBindOptions::default();
                channel.queue_bind(queue, exchange, routing_key, options, FieldTable::default()).await
            }
        }
    }

    async fn check(self, channel: &Channel) -> lapin::Result<()> {
        match self {
            Self::Exchange { name, kind } => {
                let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                channel.exchange_declare(name, kind, passive, FieldTable::default()).await
            }
            Self::Queue { name, .. } => {
                let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                channel.queue_declare(name, passive, FieldTable::default()).await.map(drop)
            }
            Self::Binding { .. } => Ok(()),
        }
    }
}
