//! The reasons why a code is refused.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use strum::VariantArray;

/// A reason for a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    pub code: ReasonCode,
    /// The reason in plain words. Its wording may change.
    pub message: String,
}

/// The stable codes of reasons, in the order in which they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    CodeNotFound,
    CampaignNotActive,
    NotStarted,
    Expired,
    LimitReached,
    CampaignLimitReached,
    IdentityLimitReached,
    BudgetExhausted,
    IdentityRequired,
    WrongIdentity,
    SegmentNotMet,
    UseCaseNotMet,
    SourceNotMet,
    AdNotMet,
    AffiliateNotMet,
    ConditionNotMet,
    PresetNotFound,
    CurrencyMismatch,
    NothingToDiscount,
    Exclusive,
    SelfReferral,
    TooManyAttempts,
}

impl ReasonCode {
    /// Returns the code as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CodeNotFound => "code-not-found",
            Self::CampaignNotActive => "campaign-not-active",
            Self::NotStarted => "not-started",
            Self::Expired => "expired",
            Self::LimitReached => "limit-reached",
            Self::CampaignLimitReached => "campaign-limit-reached",
            Self::IdentityLimitReached => "identity-limit-reached",
            Self::BudgetExhausted => "budget-exhausted",
            Self::IdentityRequired => "identity-required",
            Self::WrongIdentity => "wrong-identity",
            Self::SegmentNotMet => "segment-not-met",
            Self::UseCaseNotMet => "use-case-not-met",
            Self::SourceNotMet => "source-not-met",
            Self::AdNotMet => "ad-not-met",
            Self::AffiliateNotMet => "affiliate-not-met",
            Self::ConditionNotMet => "condition-not-met",
            Self::PresetNotFound => "preset-not-found",
            Self::CurrencyMismatch => "currency-mismatch",
            Self::NothingToDiscount => "nothing-to-discount",
            Self::Exclusive => "exclusive",
            Self::SelfReferral => "self-referral",
            Self::TooManyAttempts => "too-many-attempts",
        }
    }

    /// Returns the usual message. A reason that depends on values has its own.
    pub const fn message(self) -> &'static str {
        match self {
            Self::CodeNotFound => "this code cannot be used",
            Self::CampaignNotActive => "this offer is switched off",
            Self::NotStarted => "this offer has not started yet",
            Self::Expired => "this offer has ended",
            Self::LimitReached => "this code has been used as often as it can be",
            Self::CampaignLimitReached => "this offer has been used as often as it can be",
            Self::IdentityLimitReached => "this buyer has used this offer as often as it can be",
            Self::BudgetExhausted => "the budget of this offer does not suffice for this discount",
            Self::IdentityRequired => "this offer needs to know the buyer; send an identity",
            Self::WrongIdentity => "this code belongs to someone else, or to nobody yet",
            Self::SegmentNotMet => "this offer is for other groups of buyers",
            Self::UseCaseNotMet => "this offer is for other occasions",
            Self::SourceNotMet => "this offer is for visitors from other sources",
            Self::AdNotMet => "this offer belongs to another advertisement",
            Self::AffiliateNotMet => "this offer belongs to another affiliate",
            Self::ConditionNotMet => "the condition of this offer is not met",
            Self::PresetNotFound => "there is no such preset",
            Self::CurrencyMismatch => "this offer is in another currency",
            Self::NothingToDiscount => "the cart has nothing that this offer takes anything off",
            Self::Exclusive => "this offer does not combine with others on one order",
            Self::SelfReferral => "a referral code is for others than those who pass it on",
            Self::TooManyAttempts => "there were too many wrong codes; try again later",
        }
    }
}

impl Reason {
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Returns the reasons that a caller may know. To one that may not ask for explanations, unknown codes, those of others and dead ones
/// look alike, so that guessing teaches nothing.
pub fn shown(reasons: Vec<Reason>, explains: bool) -> Vec<Reason> {
    let hidden = [
        ReasonCode::CodeNotFound,
        ReasonCode::CampaignNotActive,
        ReasonCode::NotStarted,
        ReasonCode::Expired,
        ReasonCode::WrongIdentity,
    ];
    match !explains && reasons.iter().any(|reason| hidden.contains(&reason.code)) {
        true => vec![ReasonCode::CodeNotFound.into()],
        false => reasons,
    }
}

/// A reason with its usual message.
impl From<ReasonCode> for Reason {
    fn from(code: ReasonCode) -> Self {
        Self::new(code, code.message())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}
