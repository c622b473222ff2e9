//! What a trigger meant for the campaigns that name its type.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// A reason why a campaign issued no code for a trigger.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SkipReason {
    /// The campaign is off.
    CampaignNotActive,
    NotStarted,
    Expired,
    /// The campaign no longer names the type of the trigger.
    UseCaseNotMet,
    /// The identity belongs to none of the segments.
    SegmentNotMet,
    /// The attribute `source` is none of the campaign's sources.
    SourceNotMet,
    ConditionNotMet,
    /// The identity has a code of the campaign.
    AlreadyGenerated,
    /// The campaign waits for days after a deactivation, and the trigger states none.
    WaitsForDeactivation,
    /// Another trigger of the same identity states a later deactivation.
    Superseded,
    /// No code was left. A trigger that waits is tried again instead.
    PoolEmpty,
    /// The campaign has issued, or promised, as many codes as it may.
    IssueLimitReached,
    /// The identity was forgotten while it waited.
    IdentityForgotten,
}

/// What became of one trigger for one campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerResult {
    Issued {
        code: String,
    },
    Skipped {
        reason: SkipReason,
    },
    /// It is decided anew at this time.
    Waiting {
        due_at: DateTime<Utc>,
    },
}

/// A trigger, and what became of it for each campaign that names its type, by the names of the campaigns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandledTrigger {
    pub id: String,
    pub results: Vec<(String, TriggerResult)>,
}
