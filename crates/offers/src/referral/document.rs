//! Referrers as programs read them. No document has an address.

use chrono::{DateTime, Utc};
use codemint_codes::job::request::CAMPAIGN_LENGTH_MAX;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::campaign::definition::Definition;
use crate::referral::address::{ADDRESS_LENGTH_MAX, ADDRESS_LENGTH_MIN};
use crate::referral::state::ReferralState;
use crate::referral::template::{forward_text, header, html};

/// A request for a code that a person passes on.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ReferralRequest {
    /// The name of a referral campaign.
    #[schemars(length(min = 1, max = CAMPAIGN_LENGTH_MAX))]
    pub campaign: String,
    /// The e-mail address of the person.
    #[schemars(length(min = ADDRESS_LENGTH_MIN, max = ADDRESS_LENGTH_MAX))]
    pub referrer: String,
}

/// The code of a referrer, with the text to forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReferrerDocument {
    /// The id of the referrer: that of the first request for the address.
    pub id: Uuid,
    /// The name of the campaign.
    pub campaign: String,
    pub code: String,
    /// The text that the referrer forwards to friends. It is for the referrer only: nothing is sent to friends.
    pub forward_text: String,
    /// The same, escaped for HTML.
    pub forward_html: String,
    /// The title of the campaign without line ends, for the subject of a mail. A library for mail encodes it (RFC 2047).
    pub forward_subject: String,
    /// True if the person had this code before.
    pub already_generated: bool,
}

/// A referrer, with what became of the friends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReferrerState {
    pub id: Uuid,
    /// The name of the campaign.
    pub campaign: String,
    pub code: String,
    /// The text that the referrer forwards to friends.
    pub forward_text: String,
    /// The same, escaped for HTML.
    pub forward_html: String,
    /// The title of the campaign without line ends, for the subject of a mail.
    pub forward_subject: String,
    /// The id of the referrer whose code brought this person; null for one that the shop named.
    pub parent: Option<Uuid>,
    /// The number of generations above.
    pub depth: u64,
    /// The number of friends who have codes of their own.
    pub children: u64,
    pub referrals: ReferralCounts,
    /// The latest referrals, newest first, at most 100.
    pub latest: Vec<ReferralOfFriend>,
}

/// The numbers of friends who confirmed a redemption, by the states of the referrals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReferralCounts {
    pub pending: u64,
    pub rewarded: u64,
    pub void: u64,
}

/// One friend of a referrer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReferralOfFriend {
    /// The id of the friend's redemption.
    pub redemption_id: Uuid,
    pub state: ReferralState,
    /// When the reward is issued; null if it is, or if there is none.
    pub reward_due_at: Option<DateTime<Utc>>,
    /// The referrer's reward; null if there is none. That of a void referral is no longer valid, unless another referral stands for it.
    pub reward_code: Option<String>,
    pub at: DateTime<Utc>,
}

impl ReferrerDocument {
    pub fn new(id: Uuid, definition: &Definition, code: String, already_generated: bool) -> Self {
        let text = forward_text(definition, &code);
        Self {
            id,
            campaign: definition.name.clone(),
            code,
            forward_html: html(&text),
            forward_text: text,
            forward_subject: header(&definition.title),
            already_generated,
        }
    }
}
