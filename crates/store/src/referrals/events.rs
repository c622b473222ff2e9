//! Events about referrals, written in the transaction of the change.

use chrono::{DateTime, Utc};

use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use crate::records::outbox::NewEvent;
use codemint_offers::referral::event::{ReferralChanged, ReferralEvent};

impl StoreTransaction {
    /// Writes an event about each of these referrals, in this order.
    pub(super) async fn put_referral_events(
        &mut self,
        changed: impl Iterator<Item = ReferralChanged>,
        time: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let events: Result<Vec<NewEvent>, StoreError> =
            changed.map(|referral| new_event(ReferralEvent::of(referral, time))).collect();
        self.insert_events(&events?).await
    }
}

fn new_event(event: ReferralEvent) -> Result<NewEvent, StoreError> {
    let payload = serde_json::to_string(&event).map_err(|error| StoreError::Corrupt {
        table: "referrals",
        problem: format!("an event cannot be serialized: {error}"),
    })?;
    let ReferralEvent { id: message_id, event_type: message_type, routing_key, .. } = event;
    Ok(NewEvent { job_no: None, message_id, message_type, routing_key, reply_to: None, correlation_id: None, payload })
}
