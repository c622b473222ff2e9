//! Redemptions and validations as programs read them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use codemint_codes::identity::IDENTITY_LENGTH_MAX;
use codemint_codes::typed::TYPED_BYTES_MAX;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::campaign::definition::{Definition, LIST_MAX};
use crate::cart::{GROUPS_MAX, LINES_MAX, QUANTITY_MAX};
use crate::condition::attribute::{ATTRIBUTES_MAX, Attribute, TEXT_LENGTH_MAX};
use crate::money::{AMOUNT_MAX, Currency};
use crate::redemption::ledger::Remaining;
use crate::redemption::record::{LineDiscounts, Redemption};
use crate::redemption::request::HOLD_SECONDS_MAX;
use crate::redemption::state::State;
use crate::referral::state::ReferralState;
use crate::verdict::reason::Reason;

/// The document of a redemption. It holds neither the code that was used nor the identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RedemptionDocument {
    pub id: Uuid,
    pub state: State,
    /// The name of the campaign.
    pub campaign: String,
    /// The version of the campaign's definition under which it was decided.
    pub version: u32,
    /// The shop's reference of the order.
    pub order: Option<String>,
    /// True if it was rolled back and still counts.
    pub keep_use: bool,
    /// Null if the request had no cart.
    pub discount: Option<DiscountDocument>,
    pub held_at: DateTime<Utc>,
    /// The deadline of the payment; null if it was confirmed at once.
    pub expires_at: Option<DateTime<Utc>>,
    /// Null while it is held.
    pub ended_at: Option<DateTime<Utc>>,
    /// The friend's own code to pass on; left out unless a referral code was used, and the friend has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub issued_code: Option<String>,
    /// What it is to the referrer; left out unless it is or was a confirmed use of a referral code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub referral: Option<ReferralDocument>,
}

/// What a redemption is to the referrer whose code was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReferralDocument {
    pub state: ReferralState,
}

/// A discount, in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DiscountDocument {
    #[schemars(with = "String")]
    pub currency: Currency,
    /// The sum of the lines.
    pub amount: i64,
    /// The lines of the cart, in its order.
    pub lines: Vec<LineDocument>,
}

/// What is taken off one line of the cart; 0 for a line without discount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LineDocument {
    pub sku: String,
    pub amount: i64,
}

/// The document of a validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ValidationDocument {
    Valid {
        #[schemars(extend("const" = true))]
        valid: bool,
        campaign: String,
        /// Null if the request had no cart.
        discount: Option<DiscountDocument>,
        offer: ShownOffer,
        /// What remains before this use.
        remaining: Remaining,
    },
    Refused {
        #[schemars(extend("const" = false))]
        valid: bool,
        reasons: Vec<Reason>,
    },
}

/// What the shop shows to the buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ShownOffer {
    pub text: Option<String>,
    pub image_url: Option<String>,
}

/// A request to use a code, or to find out whether it may be used.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UseRequest {
    /// The code as it was typed.
    #[schemars(length(min = 1, max = TYPED_BYTES_MAX))]
    pub code: String,
    /// Who uses it, such as a customer number.
    #[schemars(default, length(min = 1, max = IDENTITY_LENGTH_MAX))]
    pub identity: Option<String>,
    /// The shop's reference of the order. Several codes on one order see each other.
    #[schemars(default, length(min = 1, max = TEXT_LENGTH_MAX))]
    pub order: Option<String>,
    #[schemars(default)]
    pub cart: Option<CartRequest>,
    #[schemars(default)]
    pub context: Option<ContextRequest>,
    /// The session or the terminal of the buyer. Wrong codes are counted for each.
    #[schemars(default, length(min = 1, max = TEXT_LENGTH_MAX))]
    pub actor: Option<String>,
    #[schemars(default)]
    pub click_id: Option<Uuid>,
    /// How long the code is held for the payment: 0 to confirm it at once, else from a minute to a week.
    #[schemars(with = "Option<u32>", range(max = HOLD_SECONDS_MAX), extend("default" = 0))]
    pub hold_seconds: u32,
}

/// A cart. Amounts are minor units of its currency.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CartRequest {
    /// An ISO 4217 code, such as EUR.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    pub currency: String,
    #[schemars(length(min = 1, max = LINES_MAX))]
    pub lines: Vec<LineRequest>,
}

#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LineRequest {
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX))]
    pub sku: String,
    #[schemars(with = "Option<Vec<String>>", length(max = GROUPS_MAX), extend("default" = []))]
    pub groups: Vec<String>,
    #[schemars(range(min = 1, max = QUANTITY_MAX))]
    pub quantity: u32,
    #[schemars(range(min = 0, max = AMOUNT_MAX))]
    pub unit_amount: i64,
}

/// What else a campaign may ask for.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ContextRequest {
    #[schemars(default, length(min = 1, max = TEXT_LENGTH_MAX))]
    pub source: Option<String>,
    #[schemars(default, length(min = 1, max = TEXT_LENGTH_MAX))]
    pub ad: Option<String>,
    #[schemars(default, length(min = 1, max = TEXT_LENGTH_MAX))]
    pub affiliate: Option<String>,
    #[schemars(with = "Option<Vec<String>>", length(max = LIST_MAX), extend("default" = []))]
    pub segments: Vec<String>,
    #[schemars(default, length(min = 1, max = TEXT_LENGTH_MAX))]
    pub use_case: Option<String>,
    /// Texts, numbers and truth values that conditions compare.
    #[schemars(with = "Option<BTreeMap<String, Attribute>>", extend("maxProperties" = ATTRIBUTES_MAX, "default" = {}))]
    pub attributes: BTreeMap<String, Attribute>,
}

/// The confirmation of a held redemption.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The cart that was paid, if the discount is to be computed anew.
    #[schemars(default)]
    pub cart: Option<CartRequest>,
}

/// The roll-back of a redemption.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RollBackRequest {
    /// True if the use still counts against all limits.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    pub keep_use: bool,
}

/// Many requests to use codes.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BatchRequest {
    /// 1 to 1,000 requests.
    #[schemars(length(min = 1, max = 1000))]
    pub items: Vec<BatchItem>,
}

/// A request under the id that the caller chooses.
#[derive(Clone, Debug, JsonSchema)]
pub struct BatchItem {
    pub id: Uuid,
    #[schemars(flatten)]
    pub request: UseRequest,
}

impl ValidationDocument {
    /// Returns the document of a code that may be used.
    pub fn valid(definition: &Definition, discount: Option<LineDiscounts>, remaining: Remaining) -> Self {
        let discount = discount.map(DiscountDocument::from);
        Self::Valid { valid: true, campaign: definition.name.clone(), discount, offer: definition.into(), remaining }
    }

    /// Returns the document of a refusal.
    pub const fn refused(reasons: Vec<Reason>) -> Self {
        Self::Refused { valid: false, reasons }
    }

    pub const fn is_valid(&self) -> bool {
        matches!(self, Self::Valid { .. })
    }
}

impl From<&Definition> for ShownOffer {
    fn from(definition: &Definition) -> Self {
        Self { text: definition.offer.text.clone(), image_url: definition.offer.image_url.clone() }
    }
}

impl From<LineDiscounts> for DiscountDocument {
    fn from(discounts: LineDiscounts) -> Self {
        let LineDiscounts { currency, amount, lines } = discounts;
        let lines = lines.into_iter().map(|(sku, amount)| LineDocument { sku, amount }).collect();
        Self { currency, amount, lines }
    }
}

impl From<&Redemption> for RedemptionDocument {
    fn from(redemption: &Redemption) -> Self {
        Self {
            id: redemption.id,
            state: redemption.state,
            campaign: redemption.campaign.clone(),
            version: redemption.version,
            order: redemption.order.clone(),
            keep_use: redemption.keep_use,
            discount: redemption.discount.clone().map(DiscountDocument::from),
            held_at: redemption.held_at,
            expires_at: redemption.expires_at,
            ended_at: redemption.ended_at,
            issued_code: redemption.referral.as_ref().and_then(|referred| referred.issued_code.clone()),
            referral: redemption.referral.as_ref().map(|referred| ReferralDocument { state: referred.state }),
        }
    }
}
