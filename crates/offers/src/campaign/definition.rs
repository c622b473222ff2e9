//! The definition of a campaign: what it says, as one value. [`read_definition`](crate::read::campaign::read_definition) reads
//! it, and serde writes it back as JSON that reads as an equal definition.

use std::collections::BTreeSet;

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use codemint_codes::job::request::CAMPAIGN_LENGTH_MAX;
use codemint_codes::mask::{MASK_TEXT_MAX, Mask};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use strum::IntoStaticStr;

use crate::condition::attribute::TEXT_LENGTH_MAX;
use crate::condition::expression::{EXPRESSION_BYTES_MAX, Expression};
use crate::condition::predicate::Predicate;
use crate::discount::rule::Discount;
use crate::money::Money;

/// The largest limit of codes or uses.
pub const LIMIT_MAX: u64 = 1_000_000_000_000;
/// The maximum number of days that issuing or a reward may wait.
pub const DAYS_MAX: u64 = 3650;
/// The deepest tree of referrals.
pub const REFERRAL_DEPTH_MAX: u64 = 100;
/// The maximum number of entries of a list of a campaign.
pub const LIST_MAX: usize = 1000;
/// The longest text of an offer or to forward, in characters.
pub const OFFER_TEXT_LENGTH_MAX: usize = 4000;
/// The longest address of an image or a page, in characters.
pub const URL_LENGTH_MAX: usize = 2000;
/// The use case of codes that a person enters or picks.
pub const USE_CASE_PRESET: &str = "preset";
/// The use case of codes that the shop applies by itself.
pub const USE_CASE_AUTOMATIC: &str = "automatic";

/// The definition of a campaign. Fields that are left out, or null, have their defaults; unlimited is 0 or null, and an empty
/// list does not restrict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "CampaignDefinition")]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The campaign name. Required in a file; in a request it is optional and equals the name in the path.
    #[schemars(with = "Option<String>", length(min = 1, max = CAMPAIGN_LENGTH_MAX))]
    pub name: String,
    /// The name for people.
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX))]
    pub title: String,
    pub kind: Kind,
    #[schemars(with = "Option<Purpose>", extend("default" = "regular"))]
    pub purpose: Purpose,
    #[schemars(with = "Option<bool>", extend("default" = false))]
    pub active: bool,
    /// The first instant of the campaign.
    pub starts_at: Option<DateTime<FixedOffset>>,
    /// The first instant after the campaign.
    pub ends_at: Option<DateTime<FixedOffset>>,
    /// The time zone of the campaign's days, by its IANA name.
    #[schemars(with = "Option<String>", extend("default" = "UTC"))]
    #[serde(serialize_with = "as_text")]
    pub zone: Tz,
    /// The mask of the codes. The mask of a public campaign is its one code.
    #[schemars(with = "String", length(min = 1, max = MASK_TEXT_MAX))]
    #[serde(serialize_with = "as_text")]
    pub mask: Mask,
    #[schemars(with = "Option<Limits>")]
    pub limits: Limits,
    pub discount: Discount,
    /// True if the discount does not combine with others on one order.
    #[schemars(with = "Option<bool>", extend("default" = true))]
    pub exclusive: bool,
    /// The sources of a click for which the offer is.
    #[schemars(with = "Option<Vec<String>>", length(max = LIST_MAX), extend("default" = []))]
    pub sources: BTreeSet<String>,
    /// The advertisements for which the offer is.
    #[schemars(with = "Option<Vec<String>>", length(max = LIST_MAX), extend("default" = []))]
    pub ads: BTreeSet<String>,
    /// The affiliates for which the offer is.
    #[schemars(with = "Option<Vec<String>>", length(max = LIST_MAX), extend("default" = []))]
    pub affiliates: BTreeSet<String>,
    /// The segments for which the offer is: the buyer belongs to at least one.
    #[schemars(with = "Option<Vec<String>>", length(max = LIST_MAX), extend("default" = []))]
    pub segments: BTreeSet<String>,
    /// `preset`, `automatic`, or types of triggers that issue codes, such as `location.created`.
    #[schemars(with = "Option<Vec<String>>", length(max = LIST_MAX), extend("default" = []))]
    pub use_cases: BTreeSet<String>,
    /// The number of days after a deactivation before a trigger issues a code; 0 issues it at once.
    #[schemars(with = "Option<u64>", range(max = DAYS_MAX), extend("default" = 0))]
    pub wait_days_after_deactivation: u64,
    pub condition: Option<Predicate>,
    /// A condition in CEL, beside `condition`: both must hold.
    #[schemars(with = "Option<String>", length(max = EXPRESSION_BYTES_MAX))]
    #[serde(serialize_with = "expression_text")]
    pub expression: Option<Expression>,
    pub referral: Option<Referral>,
    #[schemars(with = "Option<Offer>")]
    pub offer: Offer,
}

impl Definition {
    /// Returns the names of the segments that the campaign and its condition ask about. An expression may ask about others.
    pub fn named_segments(&self) -> BTreeSet<&str> {
        let of_condition = self.condition.iter().flat_map(Predicate::segments);
        self.segments.iter().map(String::as_str).chain(of_condition).collect()
    }
}

/// Who may use the codes of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Kind {
    /// One code for all.
    Public,
    /// Many codes; the holder of one may use it.
    Private,
    /// Many codes, each for one identity.
    Restricted,
}

/// What a campaign is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// An offer of the shop to its customers.
    Regular,
    /// Codes that customers pass on to friends.
    Referral,
}

/// The limits of a campaign; 0 and null are unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The maximum number of uses of each code; of a public code, by all together.
    #[schemars(with = "Option<u64>", range(max = LIMIT_MAX), extend("default" = 0))]
    pub per_code: u64,
    /// The maximum number of uses by each identity.
    #[schemars(with = "Option<u64>", range(max = LIMIT_MAX), extend("default" = 0))]
    pub per_identity: u64,
    /// The maximum number of uses of all codes together.
    #[schemars(with = "Option<u64>", range(max = LIMIT_MAX), extend("default" = 0))]
    pub redeemed: u64,
    /// The maximum number of codes that are issued to identities.
    #[schemars(with = "Option<u64>", range(max = LIMIT_MAX), extend("default" = 0))]
    pub issued: u64,
    /// The maximum sum of all discounts. Carts in other currencies get no discount.
    pub budget: Option<Money>,
}

/// The terms of a referral campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Referral {
    /// The campaign that rewards referrers; null is no reward.
    #[schemars(length(min = 1, max = CAMPAIGN_LENGTH_MAX))]
    pub reward_campaign: Option<String>,
    /// The number of days between a friend's confirmed redemption and the reward.
    #[schemars(with = "Option<u64>", range(max = DAYS_MAX), extend("default" = 0))]
    pub reward_delay_days: u64,
    /// The maximum number of generations of friends who get codes of their own; 0 is the maximum, 100.
    #[schemars(with = "Option<u64>", range(max = REFERRAL_DEPTH_MAX), extend("default" = 0))]
    pub max_depth: u64,
    /// The maximum number of friends of one referrer who get codes of their own; 0 is unlimited.
    #[schemars(with = "Option<u64>", range(max = LIMIT_MAX), extend("default" = 0))]
    pub max_codes_per_referrer: u64,
    /// The text that a referrer forwards to friends, with `{{code}}`, `{{campaign_title}}`, `{{discount}}`, `{{ends_on}}` and
    /// `{{landing_url}}`.
    #[schemars(length(max = OFFER_TEXT_LENGTH_MAX))]
    pub forward_template: Option<String>,
}

/// What a buyer sees of an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    #[schemars(length(max = OFFER_TEXT_LENGTH_MAX))]
    pub text: Option<String>,
    #[schemars(length(max = URL_LENGTH_MAX))]
    pub image_url: Option<String>,
    /// The page that a link of the campaign leads to.
    #[schemars(length(max = URL_LENGTH_MAX))]
    pub landing_url: Option<String>,
}

/// Returns true for a use case that is the type of a trigger.
pub fn is_trigger(use_case: &str) -> bool {
    ![USE_CASE_PRESET, USE_CASE_AUTOMATIC].contains(&use_case)
}

fn as_text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn expression_text<S: Serializer>(value: &Option<Expression>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Expression::text).serialize(serializer)
}
