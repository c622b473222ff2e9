//! Browsing the dead queue, and removing messages from it. Messages that were only read return to their place when the
//! channel closes.

use std::fmt;
use std::sync::Arc;

use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicQosOptions, QueuePurgeOptions};

use crate::broker::connection::BrokerConnection;
use crate::broker::dead::{Death, back_to_queue};
use crate::broker::error::BrokerError;
use crate::broker::properties::text;
use crate::broker::publish::{Publisher, short};
use crate::broker::settings::{BrokerNames, BrokerSettings};
use crate::broker::topology::queue_depth;

pub struct DeadQueue {
    connection: Arc<BrokerConnection>,
    channel: Channel,
    publisher: Publisher,
    names: BrokerNames,
    left: u32,
}

/// A message that is held until it is removed or the queue is closed.
#[derive(Debug)]
pub struct DeadMessage {
    inner: BasicGetMessage,
    pub death: Death,
}

impl DeadQueue {
    /// Connects, and checks that the queue exists.
    ///
    /// # Errors
    /// `Missing` if there is no such queue, or an error of the connection.
    pub async fn open(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let connection = Arc::new(BrokerConnection::open(settings, "dead").await?);
        let left = queue_depth(&connection, &settings.names.dead_queue).await?.messages;
        let channel = connection.channel().await?;
        let publisher = Publisher::open(Arc::clone(&connection)).await?;
        Ok(Self { connection, channel, publisher, names: settings.names.clone(), left })
    }

    /// Returns how many of the messages that were there at the beginning have not been read yet.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Returns the next message; `None` after the last one that was there at the beginning, because a message that was
    /// put back could otherwise come round again without end.
    ///
    /// # Errors
    /// If the connection is gone, or the broker does not answer.
    pub async fn next(&mut self) -> Result<Option<DeadMessage>, BrokerError> {
        if self.left == 0 {
            return Ok(None);
        }
        let queue = short("name of the dead queue", &self.names.dead_queue)?;
        let taking = self.connection.answered(self.channel.basic_get(queue, BasicGetOptions::default()));
        let taken = tokio::select! {
            // Listens before it asks: if a message cannot be decoded, the library never answers.
            biased;
            error = Box::pin(self.connection.ended(|_| ())) => return Err(error),
            taken = Box::pin(taking) => taken?,
        };
        self.left = if taken.is_some() { self.left - 1 } else { 0 };
        Ok(taken.map(|inner| DeadMessage { death: Death::of(&inner.properties), inner }))
    }

    /// Moves a message back to the queue that it came from, as it was before, and returns the name of the queue. If the answer
    /// is lost, it may be in both queues.
    ///
    /// # Errors
    /// See [`Publisher::publish`]; also `Silent` or `Lost` if the message could not be removed from the dead queue.
    pub async fn requeue(&self, message: &DeadMessage) -> Result<String, BrokerError> {
        let outgoing = back_to_queue(&self.names, &message.inner.properties, &message.inner.data);
        Box::pin(self.publisher.publish(&outgoing)).await?;
        if !self.connection.answered(message.inner.acker.ack(BasicAckOptions::default())).await? {
            return Err(BrokerError::Lost { problem: "a message could not be acknowledged".to_owned() });
        }
        // The broker does not answer an acknowledgement, but it handles the methods of a channel in order. So the answer to this
        // method, which changes nothing, shows that the broker has handled the acknowledgement.
        self.connection.answered(self.channel.basic_qos(0, BasicQosOptions::default())).await?;
        Ok(outgoing.routing_key)
    }

    /// Removes all messages that no consumer holds, and returns their number.
    ///
    /// # Errors
    /// If the connection is gone, the broker does not answer, or the user may not purge the queue.
    pub async fn purge(&self) -> Result<u32, BrokerError> {
        let queue = short("name of the dead queue", &self.names.dead_queue)?;
        self.connection.answered(self.channel.queue_purge(queue, QueuePurgeOptions::default())).await
    }

    /// Returns the held messages to the queue, and closes the connection.
    pub async fn close(self) {
        drop((self.publisher, self.channel));
        if let Some(connection) = Arc::into_inner(self.connection) {
            connection.close().await;
        }
    }
}

impl fmt::Debug for DeadQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadQueue")
            .field("connection", &self.connection)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl DeadMessage {
    pub fn message_id(&self) -> Option<&str> {
        text(self.inner.properties.message_id())
    }

    pub fn message_type(&self) -> Option<&str> {
        text(self.inner.properties.kind())
    }

    pub fn content_type(&self) -> Option<&str> {
        text(self.inner.properties.content_type())
    }

    pub fn body(&self) -> &[u8] {
        &self.inner.data
    }
}
