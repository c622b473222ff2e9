//! A broker client, as producers of jobs and readers of events have one.

use std::future::ready;
use std::pin::pin;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Event};
use tokio::time::timeout;

use crate::waiting::DEADLINE;

#[derive(Debug)]
pub struct Peer {
    connection: Connection,
    publishing: Channel,
}

/// A message as it arrived.
#[derive(Clone, Debug)]
pub struct Message {
    pub exchange: String,
    pub routing_key: String,
    pub redelivered: bool,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

/// A queue of the test's own, which fills from the moment when it was bound.
#[derive(Debug)]
pub struct Inbox {
    consumer: Consumer,
    /// All collected messages, in order.
    pub messages: Vec<Message>,
    _channel: Channel,
}

impl Peer {
    pub async fn connect(url: &str) -> Self {
        Self::try_connect(url, None).await.expect("a connection")
    }

    /// Connects; trusts this authority, and those of the system.
    pub async fn try_connect(url: &str, authority_pem: Option<String>) -> lapin::Result<Self> {
        let tls = OwnedTLSConfig { identity: None, cert_chain: authority_pem };
        let runtime = lapin::runtime::default_runtime()?;
        let connecting = Connection::connect_with_config(url, ConnectionProperties::default(), tls, runtime);
        let connection = within_deadline("a connection", connecting).await?;
        let publishing = connection.create_channel().await?;
        publishing.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, publishing })
    }

    /// Publishes a message, and returns when the broker has put it into a queue.
    pub async fn publish(&self, exchange: &str, routing_key: &str, body: &[u8], properties: BasicProperties) {
        let confirmed = within_deadline("a confirm", self.try_publish(exchange, routing_key, body, properties)).await;
        assert_eq!(confirmed.expect("a confirm"), Confirmation::Ack(None), "{exchange:?} {routing_key:?}");
    }

    /// Publishes a message, and returns the broker's answer, however long it takes.
    pub async fn try_publish(
        &self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> lapin::Result<Confirmation> {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let (exchange, routing_key) = (exchange.into(), routing_key.into());
        self.publishing.basic_publish(exchange, routing_key, options, body, properties).await?.await
    }

    /// Declares a durable queue; [`quorum`] returns the arguments of a replicated one.
    pub async fn declare(&self, queue: &str, arguments: FieldTable) {
        let declared =
            self.channel().await.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await;
        declared.expect("a queue");
    }

    pub async fn bind(&self, queue: &str, exchange: &str, pattern: &str) {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let channel = self.channel().await;
        channel.queue_bind(queue.into(), exchange.into(), pattern.into(), options, none).await.expect("a binding");
    }

    /// Starts collecting what this exchange routes by this pattern.
    pub async fn listen(&self, exchange: &str, pattern: &str) -> Inbox {
        let channel = self.channel().await;
        let none = FieldTable::default;
        let queue = channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), none()).await.expect("a queue");
        let queue = queue.name().clone();
        let bound =
            channel.queue_bind(queue.clone(), exchange.into(), pattern.into(), QueueBindOptions::default(), none());
        bound.await.expect("a binding");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = channel.basic_consume(queue, "".into(), options, none()).await.expect("a consumer");
        Inbox { consumer, messages: Vec::new(), _channel: channel }
    }

    /// Takes all messages of a queue, in order.
    pub async fn consume(&self, queue: &str) -> Inbox {
        let channel = self.channel().await;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consuming = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
        Inbox { consumer: consuming.expect("a consumer"), messages: Vec::new(), _channel: channel }
    }

    /// Takes one message from a queue, if there is one.
    pub async fn get(&self, queue: &str) -> Option<Message> {
        let taken = self.channel().await.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await;
        taken.expect("a queue").map(|message| Message::from(message.delivery))
    }

    /// Takes one message from a queue as soon as there is one. The next one may be returned to the queue a moment later.
    pub async fn take(&self, queue: &str) -> Message {
        self.take_in_order(queue, 1).await.pop().expect("a message")
    }

    /// Takes messages from a queue as they come.
    pub async fn take_in_order(&self, queue: &str, count: usize) -> Vec<Message> {
        let channel = self.channel().await;
        let options = BasicConsumeOptions::default();
        channel.basic_qos(1, BasicQosOptions::default()).await.expect("a prefetch of one");
        let consuming = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
        let mut consumer = consuming.expect("a consumer");
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let delivery = within_deadline("a message", consumer.next()).await.expect("a queue").expect("a message");
            assert!(delivery.ack(BasicAckOptions::default()).await.expect("an acknowledgement"));
            taken.push(Message::from(delivery));
        }
        // The broker answers this after it has seen the acknowledgements.
        channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.expect("an end");
        taken
    }

    pub async fn purge(&self, queue: &str) {
        self.channel().await.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("a queue");
    }

    /// Returns the number of messages that were not delivered; `Broker::queue_depth` counts the delivered ones too.
    pub async fn depth(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let mut depth = 0;
        // RabbitMQ says 0 if a busy quorum queue does not answer in time.
        for _ in 0..3 {
            let asked = self.channel().await.queue_declare(queue.into(), passive, FieldTable::default()).await;
            depth = depth.max(asked.expect("a queue").message_count());
        }
        depth
    }

    /// Waits until the broker reports this event of the connection; listens from the moment of the call.
    pub async fn wait_for_event(&self, what: &str, is_it: impl Fn(&Event) -> bool) {
        let mut events = pin!(self.connection.events_listener().filter(|event| ready(is_it(event))));
        assert!(within_deadline(what, events.next()).await.is_some(), "the connection ended before {what}");
    }

    /// Opens a new channel: a broker error closes the channel on which it occurs.
    pub async fn channel(&self) -> Channel {
        self.connection.create_channel().await.expect("a channel")
    }
}

impl Inbox {
    /// Collects messages until they meet this condition.
    pub async fn collect(&mut self, what: &str, are_all: impl Fn(&[Message]) -> bool) -> &[Message] {
        let (consumer, messages) = (&mut self.consumer, &mut self.messages);
        let collecting = async {
            while !are_all(messages) {
                let delivery = consumer.next().await.expect("a connection").expect("a message");
                messages.push(Message::from(delivery));
            }
        };
        if timeout(DEADLINE, collecting).await.is_err() {
            let kinds: Vec<&str> =
                self.messages.iter().rev().take(20).map(|message| message.routing_key.as_str()).collect();
            panic!("timed out waiting: {what}, with {} messages, the last ones first: {kinds:?}", self.messages.len());
        }
        &self.messages
    }

    pub async fn collect_count(&mut self, count: usize) -> &[Message] {
        self.collect(&format!("{count} messages"), |messages| messages.len() >= count).await
    }
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&AMQPValue> {
        self.properties.headers().as_ref()?.inner().get(name)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Delivery> for Message {
    fn from(delivery: Delivery) -> Self {
        Self {
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            redelivered: delivery.redelivered,
            properties: delivery.properties,
            body: delivery.data,
        }
    }
}

/// The arguments of a quorum queue.
pub fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

/// The properties of a message that outlives the broker.
pub fn durable() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("timed out waiting: {what}"))
}
