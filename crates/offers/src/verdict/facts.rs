//! The facts that a verdict is decided on, all handed in by the caller.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::cart::Cart;
use crate::condition::attribute::Attribute;
use crate::money::Currency;

/// Everything that is known about one use of one code. Numbers of uses and sums include those that are held, but not the use that
/// is decided: to decide again about a held one, leave it out.
#[derive(Clone, Copy, Debug)]
pub struct UseFacts<'a> {
    pub campaign: CampaignFacts,
    pub code: CodeFacts<'a>,
    /// `None` if the request names no identity.
    pub identity: Option<IdentityFacts<'a>>,
    /// The earlier redemptions of the same order that count, in the order in which they were made.
    pub earlier: &'a [EarlierRedemption],
    pub cart: Option<&'a Cart>,
    pub context: &'a Context,
    /// The segments that the buyer belongs to, stored and stated ones.
    pub segments: &'a BTreeSet<String>,
}

/// What a campaign has used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignFacts {
    /// The number of uses of all codes.
    pub uses: u64,
    /// The sum of discounts, in minor units of the budget's currency.
    pub spent: i64,
}

/// What is known about a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeFacts<'a> {
    /// The number of uses of this code.
    pub uses: u64,
    /// The identity that the code is bound to: the owner of a restricted code, or the referrer that passes a referral code
    /// on.
    pub owner: Option<&'a str>,
}

/// What is known about the identity of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityFacts<'a> {
    /// The identity in the same form as [`CodeFacts::owner`].
    pub identity: &'a str,
    /// The number of uses of the campaign's codes by this identity.
    pub uses: u64,
    /// True if the identity is one of the referrers of the owner of the code, directly or over others.
    pub is_ancestor: bool,
}

/// A redemption of another code on the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierRedemption {
    pub exclusive: bool,
    /// When its discount was decided: when the code was held, or when it was confirmed with a cart.
    pub decided_at: DateTime<Utc>,
    /// The currency, and the discounts by SKU in its minor units.
    pub discount: Option<(Currency, Vec<(String, i64)>)>,
}

/// What the shop states about the circumstances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    pub source: Option<String>,
    pub ad: Option<String>,
    pub affiliate: Option<String>,
    /// The segments that the shop states; the caller adds stored ones in [`UseFacts::segments`].
    pub segments: BTreeSet<String>,
    pub use_case: Option<String>,
    pub attributes: BTreeMap<String, Attribute>,
}
