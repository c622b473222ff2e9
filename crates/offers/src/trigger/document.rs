//! Triggers and their results as programs read and write them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use codemint_codes::identity::IDENTITY_LENGTH_MAX;
use schemars::JsonSchema;
use serde::Serialize;

use crate::campaign::definition::LIST_MAX;
use crate::condition::attribute::{ATTRIBUTES_MAX, Attribute, TEXT_LENGTH_MAX};
use crate::trigger::record::TRIGGER_ID_LENGTH_MAX;
use crate::trigger::result::{HandledTrigger, SkipReason, TriggerResult};

/// Something that happened at the shop, for which campaigns may issue codes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Trigger", deny_unknown_fields)]
pub struct TriggerRequest {
    /// The id of the trigger, 1 to 100 printable ASCII characters without blanks: the same id with the same content again is
    /// the same trigger. In a request it is optional and equals the id in the path; a message without it has a `message_id`.
    /// It stands in URLs, logs and events, so it must not be an identity.
    #[schemars(length(min = 1, max = TRIGGER_ID_LENGTH_MAX), regex(pattern = "^[!-~]+$"), default)]
    pub id: Option<String>,
    /// What happened, such as `location.created`: one of the use cases of the campaigns that it concerns.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX), regex(pattern = "^[a-z0-9._-]+$"))]
    pub trigger_type: String,
    /// The identity that may get a code, such as the number of a customer or a location.
    #[schemars(length(min = 1, max = IDENTITY_LENGTH_MAX))]
    pub identity: String,
    /// Segments that the identity belongs to, besides the stored ones.
    #[schemars(with = "Option<Vec<String>>", length(max = LIST_MAX), extend("default" = []))]
    pub segments: Vec<String>,
    /// Texts, numbers and truth values that conditions compare. Campaigns with sources compare the attribute `source`.
    #[schemars(with = "Option<BTreeMap<String, Attribute>>", extend("maxProperties" = ATTRIBUTES_MAX, "default" = {}))]
    pub attributes: BTreeMap<String, Attribute>,
    /// When the identity was deactivated, in the years 1970 to 2999. Campaigns that wait issue codes only after it.
    #[schemars(default)]
    pub deactivated_at: Option<DateTime<Utc>>,
}

/// What became of a trigger, each list by the names of the campaigns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TriggerDocument {
    pub id: String,
    pub issued: Vec<IssuedFor>,
    pub skipped: Vec<SkippedFor>,
    pub waiting: Vec<WaitingFor>,
}

/// A campaign that issued a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IssuedFor {
    /// The name of the campaign.
    pub campaign: String,
    pub code: String,
}

/// A campaign that issued no code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SkippedFor {
    /// The name of the campaign.
    pub campaign: String,
    pub reason: SkipReason,
}

/// A campaign that decides later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WaitingFor {
    /// The name of the campaign.
    pub campaign: String,
    /// When it decides.
    pub due_at: DateTime<Utc>,
}

impl From<&HandledTrigger> for TriggerDocument {
    fn from(trigger: &HandledTrigger) -> Self {
        let mut document =
            Self { id: trigger.id.clone(), issued: Vec::new(), skipped: Vec::new(), waiting: Vec::new() };
        for (campaign, result) in &trigger.results {
            let campaign = campaign.clone();
            match result {
                TriggerResult::Issued { code } => document.issued.push(IssuedFor { campaign, code: code.clone() }),
                TriggerResult::Skipped { reason } => document.skipped.push(SkippedFor { campaign, reason: *reason }),
                TriggerResult::Waiting { due_at } => document.waiting.push(WaitingFor { campaign, due_at: *due_at }),
            }
        }
        document
    }
}
