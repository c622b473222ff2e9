//! Handles the triggers of messages.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::broker::admitter::{Admitter, Dead, Outcome};
use crate::broker::settings::BrokerNames;
use codemint_campaigns::triggering::{TRIGGERS_AT_ONCE, Trigger, TriggerHandler, TriggerOutcome};
use codemint_codes::wire::message::{Envelope, Undecodable};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_telemetry::metrics::triggers::handled;

/// The intake of triggers.
#[derive(Debug)]
pub(super) struct TriggerIntake {
    pub handler: TriggerHandler,
    /// Signals that there may be events to publish.
    pub outbox_wake: Arc<Notify>,
}

/// A trigger that is handled.
#[derive(Debug)]
pub(super) struct Handled;

impl Admitter for TriggerIntake {
    type Parsed = Result<Trigger, Undecodable>;
    type Admitted = Handled;

    const NOUN: &'static str = "trigger";
    const BATCH_MAX: usize = TRIGGERS_AT_ONCE;
    // A trigger takes less time than a job, and a transaction for many takes little more than one for a few.
    const PREFETCH_FACTOR: u16 = 8;

    fn store(&self) -> &Store {
        &self.handler.store
    }

    fn queue<'n>(&self, names: &'n BrokerNames) -> &'n str {
        &names.triggers_queue
    }

    fn parse(&self, body: &[u8], envelope: &Envelope<'_>) -> Self::Parsed {
        self.handler.parse(body, envelope)
    }

    async fn admit(&self, messages: &[Self::Parsed]) -> Result<Vec<Outcome<Handled>>, StoreError> {
        let valid: Vec<Trigger> = messages.iter().filter_map(|message| message.as_ref().ok().cloned()).collect();
        let handled = if valid.is_empty() { Vec::new() } else { self.handler.handle(&valid).await? };
        let mut handled = valid.iter().zip(handled);
        let outcome = |message: &Self::Parsed| match message {
            Err(undecodable) => Some(Err(Dead(undecodable.clone()))),
            // There is one outcome for each trigger.
            Ok(_) => handled.next().map(|(trigger, outcome)| match outcome {
                TriggerOutcome::Handled { .. } => Ok(Handled),
                TriggerOutcome::DifferentRequest => Err(different_request(&trigger.id)),
            }),
        };
        Ok(messages.iter().filter_map(outcome).collect())
    }

    fn conclude(&self, outcome: &Outcome<Handled>) {
        if let Err(Dead(why)) = outcome {
            handled("dead_lettered");
            tracing::warn!(
                reason = why.reason,
                position = why.position,
                "a message was not a valid trigger and was dead-lettered; see `codemint dlq list`"
            );
        }
        self.outbox_wake.notify_one();
    }
}

fn different_request(id: &str) -> Dead {
    let reason = format!("trigger {id} exists already with another content; send new triggers under new ids");
    Dead(Undecodable { reason, position: "/id".to_owned() })
}
