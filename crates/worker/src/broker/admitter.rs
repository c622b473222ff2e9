//! What is done with the messages of one queue. These steps do not know the broker.

use std::fmt::Debug;

use crate::broker::settings::BrokerNames;
use codemint_codes::wire::message::{Envelope, Undecodable};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;

/// Admits the messages of a queue to a store.
pub(super) trait Admitter: Debug + Send + Sync + 'static {
    /// A message, as far as it can be judged without the store.
    type Parsed: Send + Sync + 'static;
    /// What became of a message that is not dead.
    type Admitted: Send + Sync + 'static;

    /// What a message asks for, such as "job".
    const NOUN: &'static str;
    /// Maximum number of messages that are admitted in one transaction.
    const BATCH_MAX: usize;
    /// The number of messages that are held unacknowledged, as a multiple of the setting.
    const PREFETCH_FACTOR: u16;

    fn store(&self) -> &Store;

    /// Returns the name of the queue.
    fn queue<'n>(&self, names: &'n BrokerNames) -> &'n str;

    fn parse(&self, body: &[u8], envelope: &Envelope<'_>) -> Self::Parsed;

    /// Admits messages, in one transaction where possible, and returns their outcomes in their order. Idempotent, so an unknown
    /// outcome may be retried.
    ///
    /// # Errors
    /// An error of the store says nothing about a message. Some of the messages may be admitted.
    fn admit(
        &self,
        messages: &[Self::Parsed],
    ) -> impl Future<Output = Result<Vec<Outcome<Self::Admitted>>, StoreError>> + Send;

    /// Counts and logs what became of a message, and starts what follows from it.
    fn conclude(&self, outcome: &Outcome<Self::Admitted>);
}

/// The outcome of a message. It is final: the message needs no further handling.
pub(super) type Outcome<T> = Result<T, Dead>;

/// A message that is not valid, or another one under an id that is taken: it is dead-lettered.
#[derive(Debug)]
pub(super) struct Dead(pub Undecodable);
