//! Events about referrals, as CloudEvents 1.0 in structured mode. They hold neither codes nor addresses.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::referral::state::ReferralState;

/// An event: a referral has reached a state.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReferralEvent {
    #[schemars(extend("const" = "1.0"))]
    specversion: &'static str,
    /// The same each time the event is delivered.
    pub id: String,
    #[schemars(extend("const" = "/codemint"))]
    source: &'static str,
    /// Such as `codemint.referral.rewarded.v1`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The id of the friend's redemption.
    subject: String,
    time: DateTime<Utc>,
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'static str,
    data: ReferralChanged,
    #[serde(skip)]
    pub routing_key: String,
}

/// A referral in its new state.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReferralChanged {
    /// The friend's redemption.
    pub redemption_id: Uuid,
    /// The id under which the referrer is stored.
    pub referrer_id: Uuid,
    /// The name of the referral campaign.
    pub campaign: String,
    pub state: ReferralState,
    /// The name of the campaign whose codes reward referrers; null if nobody is rewarded.
    pub reward_campaign: Option<String>,
    /// When a pending referral is rewarded; null if there is nothing to wait for.
    pub reward_due_at: Option<DateTime<Utc>>,
}

impl ReferralEvent {
    /// Returns the event about a referral that has just changed. A referral is in each state once at most, so the id is unique.
    pub fn of(data: ReferralChanged, time: DateTime<Utc>) -> Self {
        let (redemption_id, state) = (data.redemption_id, data.state.into_str());
        Self {
            specversion: "1.0",
            id: format!("{redemption_id}/referral/{state}"),
            source: "/codemint",
            event_type: format!("codemint.referral.{state}.v1"),
            subject: redemption_id.to_string(),
            time,
            datacontenttype: "application/json",
            data,
            routing_key: format!("referral.{state}"),
        }
    }
}
