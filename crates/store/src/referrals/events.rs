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
        let new_event = |referral| {
            let event = ReferralEvent::of(referral, time);
            NewEvent::of(&event, &event.id, &event.event_type, &event.routing_key)
        };
        let events: Result<Vec<NewEvent>, StoreError> = changed.map(new_event).collect();
        self.insert_events(&events?).await
    }
}
