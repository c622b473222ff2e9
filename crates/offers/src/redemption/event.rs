//! Events about redemptions, as CloudEvents 1.0 in structured mode. They hold neither codes nor identities.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::campaign::definition::Definition;
use crate::money::Currency;
use crate::redemption::ledger::Scope;
use crate::redemption::record::Redemption;
use crate::redemption::state::State;
use codemint_codes::text::hexadecimal;

/// An event: what happened to a redemption or a campaign.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    #[schemars(extend("const" = "1.0"))]
    specversion: &'static str,
    /// The same each time the event is delivered.
    pub id: String,
    #[schemars(extend("const" = "/codemint"))]
    source: &'static str,
    /// Such as `codemint.redemption.confirmed.v1`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The id of the redemption, or the name of the campaign.
    subject: String,
    time: DateTime<Utc>,
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'static str,
    data: EventData,
    #[serde(skip)]
    pub routing_key: String,
}

/// What an event is about.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum EventData {
    Redemption {
        id: Uuid,
        campaign: String,
        version: u32,
        state: State,
        keep_use: bool,
        /// In minor units; null without a cart.
        discount: Option<i64>,
        order_amount: Option<i64>,
        #[schemars(with = "Option<String>")]
        currency: Option<Currency>,
        order: Option<String>,
        source: Option<String>,
        ad: Option<String>,
        affiliate: Option<String>,
        held_at: DateTime<Utc>,
        ended_at: Option<DateTime<Utc>>,
    },
    Exhausted {
        campaign: String,
        version: u32,
        /// The limit that is reached: `redeemed`, `per_code` or `budget`.
        limit: &'static str,
    },
}

impl Event {
    fn new(about: &str, what: &str, id: String, subject: String, time: DateTime<Utc>, data: EventData) -> Self {
        Self {
            specversion: "1.0",
            id,
            source: "/codemint",
            event_type: format!("codemint.{about}.{what}.v1"),
            subject,
            time,
            datacontenttype: "application/json",
            data,
            routing_key: format!("{about}.{what}"),
        }
    }

    /// Returns the event about the state that a redemption has come into; `None` for a hold.
    pub fn of(redemption: &Redemption) -> Option<Self> {
        let time = redemption.ended_at.filter(|_| redemption.state != State::Held)?;
        let state: &str = redemption.state.into_str();
        let discount = redemption.discount.as_ref();
        let data = EventData::Redemption {
            id: redemption.id,
            campaign: redemption.campaign.clone(),
            version: redemption.version,
            state: redemption.state,
            keep_use: redemption.keep_use,
            discount: discount.map(|discount| discount.amount),
            order_amount: redemption.order_amount,
            currency: discount.map(|discount| discount.currency),
            order: redemption.order.clone(),
            source: redemption.source.clone(),
            ad: redemption.ad.clone(),
            affiliate: redemption.affiliate.clone(),
            held_at: redemption.held_at,
            ended_at: redemption.ended_at,
        };
        let id = format!("{}/{state}", redemption.id);
        Some(Self::new("redemption", state, id, redemption.id.to_string(), time, data))
    }

    /// Returns the event that a limit of a campaign is reached; `None` for a limit that does not end the campaign.
    pub fn of_limit(definition: &Definition, version: u32, scope: Scope, time: DateTime<Utc>) -> Option<Self> {
        let limit = match scope {
            Scope::Campaign => "redeemed",
            Scope::Budget => "budget",
            Scope::Code if definition.kind == crate::campaign::definition::Kind::Public => "per_code",
            Scope::Code | Scope::Identity => return None,
        };
        let campaign = definition.name.clone();
        // A broker allows 255 bytes, and a name may have more. A limit may be reached again after uses were given back, and two
        // limits in the same moment.
        let name = hexadecimal(&Sha256::digest(&campaign)[..8]);
        let id = format!("{name}/exhausted/{limit}/{}", time.timestamp_micros());
        let data = EventData::Exhausted { campaign: campaign.clone(), version, limit };
        Some(Self::new("campaign", "exhausted", id, campaign, time, data))
    }
}
