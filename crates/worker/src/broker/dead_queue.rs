//! Looking through the dead queue, and taking messages out of it. What is only looked at goes back to its place when the
//! channel closes.

use std::fmt;
use std::sync::Arc;

use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueuePurgeOptions};

use crate::broker::connection::BrokerConnection;
use crate::broker::dead::{Death, back_to_jobs};
use crate::broker::error::BrokerError;
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
    /// # Errors
    /// `Missing` if there is no such queue; what is wrong with the connection.
    pub async fn open(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let connection = Arc::new(BrokerConnection::open(settings, "dead").await?);
        let left = queue_depth(&connection, &settings.names.dead_queue).await?.messages;
        let channel = connection.channel().await?;
        let publisher = Publisher::open(Arc::clone(&connection)).await?;
        Ok(Self { connection, channel, publisher, names: settings.names.clone(), left })
    }

    /// How many messages that were there at the beginning were not looked at yet.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// The next one; `None` after the last of those that were there at the beginning, or a message that was put back
    /// could come round again without end.
    ///
    /// # Errors
    /// When the connection is gone, or has no answer.
    pub async fn next(&mut self) -> Result<Option<DeadMessage>, BrokerError> {
        if self.left == 0 {
            return Ok(None);
        }
        let queue = short("name of the dead queue", &self.names.dead_queue)?;
        let taking = self.connection.answered(self.channel.basic_get(queue, BasicGetOptions::default()));
        let taken = tokio::select! {
            // Listens before it asks: where a message cannot be read the library gives no answer at all.
            biased;
            error = Box::pin(self.connection.ended(|_| ())) => return Err(error),
            taken = Box::pin(taking) => taken?,
        };
        self.left = if taken.is_some() { self.left - 1 } else { 0 };
        Ok(taken.map(|inner| DeadMessage { death: Death::of(&inner.properties), inner }))
    }

    /// Puts a message back into the queue of jobs, as it was before. If the answer is lost it may be in both.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn requeue(&self, message: &DeadMessage) -> Result<(), BrokerError> {
        let outgoing = back_to_jobs(&self.names, &message.inner.properties, &message.inner.data);
        Box::pin(self.publisher.publish(&outgoing)).await?;
        match self.connection.answered(message.inner.acker.ack(BasicAckOptions::default())).await? {
            true => Ok(()),
            false => Err(BrokerError::Lost { problem: "a message could not be acknowledged".to_owned() }),
        }
    }

    /// Removes everything that nobody holds, and tells how much it was.
    ///
    /// # Errors
    /// When the connection is gone, has no answer, or does not permit it.
    pub async fn purge(&self) -> Result<u32, BrokerError> {
        let queue = short("name of the dead queue", &self.names.dead_queue)?;
        self.connection.answered(self.channel.queue_purge(queue, QueuePurgeOptions::default())).await
    }

    /// Puts back what is held, and says good-bye.
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
        self.inner.properties.message_id().as_ref().map(lapin::types::ShortString::as_str)
    }

    pub fn message_type(&self) -> Option<&str> {
        self.inner.properties.kind().as_ref().map(lapin::types::ShortString::as_str)
    }

    pub fn content_type(&self) -> Option<&str> {
        self.inner.properties.content_type().as_ref().map(lapin::types::ShortString::as_str)
    }

    pub fn body(&self) -> &[u8] {
        &self.inner.data
    }
}
