//! Triggers: those that wait for the same store are handled by one transaction, and those that are due are decided.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::attempts::Attempts;
use codemint_codes::wire::message::{Envelope, Undecodable};
use codemint_offers::read::trigger::decode_trigger;
pub use codemint_offers::trigger::record::Trigger;
use codemint_offers::trigger::result::TriggerResult;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::triggers::due::DecidedDue;
pub use codemint_store::triggers::handle::TriggerOutcome;
use codemint_telemetry::metrics::triggers as metrics;

/// The maximum number of triggers that wait; further ones are refused.
const QUEUE_MAX: usize = 10_000;
/// The maximum number of triggers that one transaction handles.
pub const TRIGGERS_AT_ONCE: usize = 1000;

/// The reason why a trigger was not handled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TriggerError {
    #[error("too many triggers are waiting; try again")]
    Busy,
    /// Whether it was handled is unknown; the same trigger finds out.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

/// Handles triggers of a store. Copies share what they have read.
#[derive(Clone, Debug)]
pub struct TriggerHandler {
    pub store: Store,
    definitions: Arc<DefinitionCache>,
    emits_events: bool,
}

impl TriggerHandler {
    /// With `emits_events`, what becomes of triggers is reported to the broker.
    pub fn new(store: Store, emits_events: bool) -> Self {
        Self { store, definitions: Arc::default(), emits_events }
    }

    /// Reads a trigger from a message of the broker.
    ///
    /// # Errors
    /// The problems of the message.
    pub fn parse(&self, body: &[u8], envelope: &Envelope<'_>) -> Result<Trigger, Undecodable> {
        decode_trigger(body, envelope)
    }

    /// Handles triggers, at most [`TRIGGERS_AT_ONCE`] of them, in one transaction, and answers in their order. Idempotent, so an unknown
    /// outcome may be retried.
    pub async fn handle(&self, triggers: &[Trigger]) -> Result<Vec<TriggerOutcome>, StoreError> {
        let outcomes = self.store.handle_triggers(&self.definitions, triggers, self.emits_events).await?;
        outcomes.iter().for_each(count);
        Ok(outcomes)
    }

    /// Decides triggers that are due, a bounded number of them. Call it again soon if it had something to do.
    pub async fn decide_due(&self) -> Result<DecidedDue, StoreError> {
        let decided = self.store.decide_due_triggers(&self.definitions, self.emits_events).await?;
        metrics::results("issued", decided.issued);
        metrics::results("skipped", decided.skipped);
        Ok(decided)
    }
}

struct Request {
    trigger: Trigger,
    answer: oneshot::Sender<Result<TriggerOutcome, TriggerError>>,
}

/// Handles triggers for any number of callers. Its task ends when the last copy is dropped.
#[derive(Clone, Debug)]
pub struct Triggers {
    requests: mpsc::Sender<Request>,
}

impl Triggers {
    /// Starts the task that combines triggers.
    pub fn start(handler: TriggerHandler) -> Self {
        let (requests, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(combine(handler, waiting));
        Self { requests }
    }

    /// Handles a trigger, or returns what became of it before.
    ///
    /// # Errors
    /// `Busy` if too many triggers wait; `Store` if the store failed.
    pub async fn handle(&self, trigger: Trigger) -> Result<TriggerOutcome, TriggerError> {
        let (answer, answered) = oneshot::channel();
        self.requests.try_send(Request { trigger, answer }).map_err(|_full_or_ended| TriggerError::Busy)?;
        answered.await.unwrap_or(Err(TriggerError::Busy))
    }
}

/// Answers what is waiting, again and again: no timer, a batch is what arrived while the previous one was written.
async fn combine(handler: TriggerHandler, mut waiting: mpsc::Receiver<Request>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, TRIGGERS_AT_ONCE).await > 0 {
        // Nobody waits for the answer, so nothing need be done.
        batch.retain(|request: &Request| !request.answer.is_closed());
        answer(&handler, batch.split_off(0)).await;
    }
}

async fn answer(handler: &TriggerHandler, requests: Vec<Request>) {
    let mut batches = vec![requests];
    while let Some(mut batch) = batches.pop() {
        if batch.is_empty() {
            continue;
        }
        let triggers: Vec<Trigger> = batch.iter().map(|request| request.trigger.clone()).collect();
        let mut attempts = Attempts::new();
        let outcomes = loop {
            match handler.handle(&triggers).await {
                Err(error) if attempts.again(&error).await => {}
                outcomes => break outcomes,
            }
        };
        match outcomes {
            Ok(outcomes) => {
                for (request, outcome) in batch.into_iter().zip(outcomes) {
                    // A caller that has gone away needs no answer.
                    let _gone = request.answer.send(Ok(outcome));
                }
            }
            // One of them cannot be written: the others must not suffer.
            Err(error) if !error.is_retryable() && batch.len() > 1 => {
                tracing::warn!(%error, triggers = batch.len(), "a batch is split");
                let second = batch.split_off(batch.len() / 2);
                batches.push(second);
                batches.push(batch);
            }
            Err(error) => {
                let error = Arc::new(error);
                for request in batch {
                    let _gone = request.answer.send(Err(TriggerError::Store(Arc::clone(&error))));
                }
            }
        }
    }
}

/// Counts an answer, and the results of a new trigger.
fn count(outcome: &TriggerOutcome) {
    match outcome {
        TriggerOutcome::Handled { trigger, is_new: true } => {
            metrics::handled("new");
            for (_, result) in &trigger.results {
                metrics::results(
                    match result {
                        TriggerResult::Issued { .. } => "issued",
                        TriggerResult::Skipped { .. } => "skipped",
                        TriggerResult::Waiting { .. } => "waiting",
                    },
                    1,
                );
            }
        }
        TriggerOutcome::Handled { is_new: false, .. } => metrics::handled("repeated"),
        TriggerOutcome::DifferentRequest => metrics::handled("different_request"),
    }
}
