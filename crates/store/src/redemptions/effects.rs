//! What a change of redemptions writes besides: sums and events.

use serde_json::{Value, json};

use crate::connection::error::{StoreError, require_rows};
use crate::connection::transaction::StoreTransaction;
use crate::records::outbox::NewEvent;
use crate::redemptions::facts::CampaignNow;
use codemint_offers::redemption::event::Event;
use codemint_offers::redemption::ledger::{Ledger, Subject};
use codemint_offers::redemption::tally::{Deltas, TallyKey};

/// What is written in the transaction of a change, when all is decided.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub deltas: Deltas,
    pub events: Vec<Event>,
}

impl Effects {
    /// Adds events about the limits that a change has reached.
    pub(crate) fn add_exhausted(
        &mut self,
        before: &Ledger,
        after: &Ledger,
        now: chrono::DateTime<chrono::Utc>,
        campaign: impl Fn(i64) -> Option<CampaignNow>,
    ) {
        for (Subject { scope, campaign_no, .. }, _) in after.iter().filter(|(subject, allowance)| {
            allowance.taken == allowance.quota && before.taken(subject) < allowance.quota
        }) {
            let event = campaign(*campaign_no)
                .and_then(|campaign| Event::of_limit(&campaign.definition, campaign.version, *scope, now));
            self.events.extend(event);
        }
    }
}

impl StoreTransaction {
    pub(crate) async fn put_effects(&mut self, effects: &Effects, emits_events: bool) -> Result<(), StoreError> {
        self.put_deltas("", &effects.deltas).await?;
        self.put_redemption_events(&effects.events, emits_events).await
    }

    pub(crate) async fn put_redemption_events(
        &mut self,
        events: &[Event],
        emits_events: bool,
    ) -> Result<(), StoreError> {
        if !emits_events {
            return Ok(());
        }
        let new_event = |event: &Event| NewEvent::of(event, &event.id, &event.event_type, &event.routing_key);
        let events: Result<Vec<NewEvent>, StoreError> = events.iter().map(new_event).collect();
        self.insert_events(&events?).await
    }

    /// Writes changes of sums, with a prefix before the names of the metrics.
    pub(crate) async fn put_deltas(&mut self, prefix: &str, deltas: &Deltas) -> Result<(), StoreError> {
        let count = deltas.iter().count() as u64;
        if count == 0 {
            return Ok(());
        }
        let inserted = self.query(deltas_sql("$1")).bind(deltas_of(prefix, deltas)).execute().await?;
        require_rows("the insert of sums", inserted, count)
    }
}

/// Returns the statement that writes changes of sums; the parameter of this name is that of [`deltas_of`].
pub(crate) fn deltas_sql(parameter: &str) -> String {
    format!(
        "insert into tally_deltas (campaign_no, day, source, ad, affiliate, currency, metric, amount)
         select d.campaign_no, d.day, d.source, d.ad, d.affiliate, d.currency, d.metric, d.amount
           from json_to_recordset({parameter}::json)
             as d(campaign_no bigint, day date, source text, ad text, affiliate text, currency text, metric text, amount bigint)"
    )
}

pub(crate) fn deltas_of(prefix: &str, deltas: &Deltas) -> String {
    let row = |(key, amount): (&TallyKey, i64)| {
        json!({ "campaign_no": key.campaign_no, "day": key.day, "source": key.source, "ad": key.ad,
                "affiliate": key.affiliate, "currency": key.currency,
                "metric": format!("{prefix}{}", key.metric.into_str()), "amount": amount })
    };
    deltas.iter().map(row).collect::<Value>().to_string()
}
