//! The states of a referral.

use schemars::JsonSchema;
use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The state of a referral: a friend has confirmed a redemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ReferralState {
    /// The reward waits for its day, or the campaign has no reward.
    Pending,
    /// The referrer has the reward.
    Rewarded,
    /// The friend's redemption was rolled back, and the use was given back.
    Void,
}
