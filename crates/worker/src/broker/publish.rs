//! Publishing: the broker persists and confirms every message, or an error reports that it may not have done so.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::broker::connection::BrokerConnection;
use crate::broker::error::BrokerError;
use crate::runner::backoff::Backoff;

/// Timeout for confirming everything that is published together. A quorum queue without a majority does not answer.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_millis(250);
const PERSISTENT: u8 = 2;
const APP_ID: &str = "codemint";

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outgoing {
    /// Empty for the default exchange, which routes to the queue that the routing key names.
    pub exchange: String,
    pub routing_key: String,
    /// If true, a message without a queue is an error. If false, it is dropped, as is right where nobody subscribed.
    pub mandatory: bool,
    pub message_id: Option<String>,
    pub message_type: Option<String>,
    pub content_type: Option<String>,
    pub correlation_id: Option<String>,
    /// Headers in addition to those of `passed_on`.
    pub headers: Vec<(&'static str, String)>,
    /// Properties of a received message that are passed on. The fields above take precedence.
    pub passed_on: BasicProperties,
    pub body: Vec<u8>,
}

/// A channel that publishes, on a connection that other channels may use as well.
#[derive(Debug)]
pub struct Publisher {
    connection: Arc<BrokerConnection>,
    /// Empty while a call uses it, and after a call that was given up: a late confirmation or return on that channel
    /// could be taken for an answer to the next call.
    channel: Mutex<Option<Channel>>,
    confirm_timeout: Duration,
}

impl Publisher {
    /// Opens a channel that publishes with confirmations.
    ///
    /// # Errors
    /// If the connection is gone, or the broker does not answer.
    pub async fn open(connection: Arc<BrokerConnection>) -> Result<Self, BrokerError> {
        let channel = Mutex::new(Some(open_channel(&connection).await?));
        Ok(Self { connection, channel, confirm_timeout: CONFIRM_TIMEOUT })
    }

    /// Sets another timeout for confirmations.
    pub fn with_confirm_timeout(self, confirm_timeout: Duration) -> Self {
        Self { confirm_timeout, ..self }
    }

    /// Publishes one message and waits until the broker has it.
    ///
    /// # Errors
    /// See [`Self::publish_all`].
    pub async fn publish(&self, message: &Outgoing) -> Result<(), BrokerError> {
        let mut results = self.publish_all(std::slice::from_ref(message)).await;
        results.pop().unwrap_or(Ok(()))
    }

    /// Publishes one message, with retries while the broker temporarily accepts none: giving up would end the session,
    /// and cost every held message one delivery. The message may arrive twice. After a stop there is at most one more
    /// attempt.
    ///
    /// # Errors
    /// Permanent errors; after a stop also temporary ones.
    pub async fn publish_until_taken(&self, message: &Outgoing, stop: &CancellationToken) -> Result<(), BrokerError> {
        let backoff = Backoff::new(stop);
        loop {
            match self.publish(message).await {
                Err(error) if error.is_temporary() && !stop.is_cancelled() => backoff.wait(RETRY_PAUSE).await,
                result => return result,
            }
        }
    }

    /// Publishes messages in this order, waits until the broker has all of them, and returns one result for each.
    /// Concurrent calls take turns.
    ///
    /// # Errors
    /// `Blocked`, `NotTaken` and `NotConfirmed` are temporary, and the publisher can be used again; an unconfirmed
    /// message may have arrived, so a retry may deliver it twice. `Unroutable` concerns mandatory messages only. After
    /// `Lost` and other errors a new connection is needed.
    pub async fn publish_all(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>> {
        let deadline = Instant::now() + self.confirm_timeout;
        match Box::pin(self.send_and_confirm(messages, deadline)).await {
            Ok(results) => results,
            Err(error) => messages.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn send_and_confirm(
        &self,
        messages: &[Outgoing],
        deadline: Instant,
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        let mut slot = timeout_at(deadline, self.channel.lock()).await.map_err(|_elapsed| self.not_confirmed())?;
        if self.connection.is_blocked() {
            return Err(BrokerError::Blocked);
        }
        let channel = match slot.take() {
            Some(channel) => channel,
            None => open_channel(&self.connection).await?,
        };
        let (sent, went_well) = self.send_all(&channel, messages, deadline).await;
        let (results, all_settled) = self.await_confirms(messages, sent, deadline).await;
        // After one refusal the broker keeps refusing on that channel, even when the limit of a queue has been lifted.
        let all_taken = !results.contains(&Err(BrokerError::NotTaken));
        if went_well && all_settled && all_taken {
            *slot = Some(channel);
        }
        Ok(results)
    }

    /// Sends messages. The flag is false if the channel stopped accepting them.
    async fn send_all(&self, channel: &Channel, messages: &[Outgoing], deadline: Instant) -> (Vec<Sent>, bool) {
        let mut sent = Vec::with_capacity(messages.len());
        let mut failure: Option<BrokerError> = None;
        for message in messages {
            sent.push(match (failure.clone(), message.envelope()) {
                (Some(error), _) | (None, Err(error)) => Err(error),
                (None, Ok(envelope)) => {
                    let sending = timeout_at(deadline, Box::pin(send(channel, envelope, &message.body))).await;
                    let one = sending.unwrap_or_else(|_elapsed| Err(self.not_confirmed()));
                    failure = one.as_ref().err().cloned();
                    one
                }
            });
        }
        (sent, failure.is_none())
    }

    /// Waits for the confirmations. The flag is false if some may still arrive.
    async fn await_confirms(
        &self,
        messages: &[Outgoing],
        sent: Vec<Sent>,
        deadline: Instant,
    ) -> (Vec<Result<(), BrokerError>>, bool) {
        let mut results = Vec::with_capacity(sent.len());
        let mut returned = Vec::new();
        let mut all_settled = true;
        for sent in sent {
            let confirm = match sent {
                Ok(confirm) => timeout_at(deadline, confirm).await,
                Err(error) => {
                    results.push(Err(error));
                    continue;
                }
            };
            all_settled &= matches!(confirm, Ok(Ok(_)));
            results.push(match confirm {
                Ok(Ok(Confirmation::Ack(back))) => {
                    returned.extend(back.as_ref().map(Returned::from));
                    Ok(())
                }
                Ok(Ok(Confirmation::Nack(_))) => Err(BrokerError::NotTaken),
                Ok(Ok(Confirmation::NotRequested)) => Err(BrokerError::Refused { problem: "confirm mode".to_owned() }),
                Ok(Err(error)) => Err(BrokerError::of_channel(&error)),
                Err(_elapsed) => Err(self.not_confirmed()),
            });
        }
        for (message, result) in messages.iter().zip(&mut results) {
            if result.is_ok() && message.mandatory && returned.contains(&Returned::of(message)) {
                let Outgoing { exchange, routing_key, .. } = message.clone();
                *result = Err(BrokerError::Unroutable { exchange, routing_key });
            }
        }
        (results, all_settled)
    }

    fn not_confirmed(&self) -> BrokerError {
        match self.connection.is_blocked() {
            true => BrokerError::Blocked,
            false => BrokerError::NotConfirmed { seconds: self.confirm_timeout.as_secs() },
        }
    }
}

type Sent = Result<PublisherConfirm, BrokerError>;

/// A message that was returned because no queue was bound for it. The library delivers it with the next confirmation,
/// which may belong to another message when several are in flight: so these fields identify it.
#[derive(PartialEq)]
struct Returned {
    exchange: String,
    routing_key: String,
    message_id: Option<String>,
}

impl Returned {
    fn of(message: &Outgoing) -> Self {
        let message_id = message.message_id.clone();
        let passed_on = message.passed_on.message_id().as_ref().map(ToString::to_string);
        Self {
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
            message_id: message_id.or(passed_on),
        }
    }
}

impl From<&BasicReturnMessage> for Returned {
    fn from(message: &BasicReturnMessage) -> Self {
        Self {
            exchange: message.exchange.to_string(),
            routing_key: message.routing_key.to_string(),
            message_id: message.properties.message_id().as_ref().map(ToString::to_string),
        }
    }
}

async fn open_channel(connection: &BrokerConnection) -> Result<Channel, BrokerError> {
    let channel = connection.channel().await?;
    connection.answered(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// Everything but the body, in the types of the library.
struct PublishEnvelope {
    exchange: ShortString,
    routing_key: ShortString,
    options: BasicPublishOptions,
    properties: BasicProperties,
}

async fn send(channel: &Channel, envelope: PublishEnvelope, body: &[u8]) -> Sent {
    let PublishEnvelope { exchange, routing_key, options, properties } = envelope;
    let sent = channel.basic_publish(exchange, routing_key, options, body, properties).await;
    sent.map_err(|error| BrokerError::of_channel(&error))
}

impl Outgoing {
    fn envelope(&self) -> Result<PublishEnvelope, BrokerError> {
        Ok(PublishEnvelope {
            exchange: short("exchange", &self.exchange)?,
            routing_key: short("routing key", &self.routing_key)?,
            options: BasicPublishOptions { mandatory: self.mandatory, ..BasicPublishOptions::default() },
            properties: self.properties()?,
        })
    }

    fn properties(&self) -> Result<BasicProperties, BrokerError> {
        let mut properties = self.passed_on.clone().with_delivery_mode(PERSISTENT);
        if let Some(id) = &self.message_id {
            properties = properties.with_message_id(short("message id", id)?);
        }
        if let Some(message_type) = &self.message_type {
            properties = properties.with_type(short("type", message_type)?);
        }
        if let Some(content_type) = &self.content_type {
            properties = properties.with_content_type(short("content type", content_type)?);
        }
        if let Some(correlation_id) = &self.correlation_id {
            properties = properties.with_correlation_id(short("correlation id", correlation_id)?);
        }
        // A message that is passed on keeps its own application id and timestamp.
        if properties.app_id().is_none() {
            properties = properties.with_app_id(APP_ID.into());
        }
        if properties.timestamp().is_none() {
            properties = properties.with_timestamp(u64::try_from(Utc::now().timestamp()).unwrap_or_default());
        }
        let mut headers = self.passed_on.headers().clone().unwrap_or_default();
        for (name, value) in &self.headers {
            headers.insert((*name).into(), AMQPValue::LongString(value.as_str().into()));
        }
        let none = headers == FieldTable::default();
        Ok(if none { properties } else { properties.with_headers(headers) })
    }
}

/// Converts a text to a short string; the library itself panics if it is too long.
///
/// # Errors
/// `TooLong`
pub(super) fn short(field: &'static str, text: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text).map_err(|_| BrokerError::TooLong { field, bytes: text.len() })
}
