//! Decides about uses of codes with the allowances at hand.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::campaign::definition::Definition;
use crate::cart::Cart;
use crate::redemption::ledger::{Ledger, Scope, Subject, Takings};
use crate::verdict::decide::{Verdict, verdict};
use crate::verdict::facts::{CampaignFacts, CodeFacts, Context, EarlierRedemption, IdentityFacts, UseFacts};
use crate::verdict::reason::ReasonCode;

/// One use that is to be decided.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    pub campaign_no: i64,
    pub definition: &'a Definition,
    /// The code as it is stored.
    pub code: &'a str,
    /// The digest of the identity that owns the code.
    pub owner: Option<&'a str>,
    /// The digest of the identity that asks.
    pub identity: Option<&'a str>,
    /// True if the identity is an ancestor of the owner of a referral code.
    pub is_ancestor: bool,
    pub cart: Option<&'a Cart>,
    pub context: &'a Context,
    pub segments: &'a BTreeSet<String>,
    pub earlier: &'a [EarlierRedemption],
}

impl Use<'_> {
    /// Decides with what is taken of the limits so far.
    pub fn verdict(&self, ledger: &Ledger, now: DateTime<Utc>) -> Verdict {
        self.decide_with(ledger, |facts| verdict(self.definition, facts, now))
    }

    /// Hands all facts to a decision.
    pub(super) fn decide_with(&self, ledger: &Ledger, decide: impl FnOnce(&UseFacts<'_>) -> Verdict) -> Verdict {
        let taken = |scope, subject: &str| {
            ledger.taken(&Subject { scope, campaign_no: self.campaign_no, subject: subject.to_owned() })
        };
        let spent = self.definition.limits.budget.map_or(0, |budget| taken(Scope::Budget, budget.currency.code()));
        let facts = UseFacts {
            // A budget is an amount, so what is taken of it fits.
            campaign: CampaignFacts { uses: taken(Scope::Campaign, ""), spent: spent.cast_signed() },
            code: CodeFacts { uses: taken(Scope::Code, self.code), owner: self.owner },
            identity: self.identity.map(|identity| IdentityFacts {
                identity,
                uses: taken(Scope::Identity, identity),
                is_ancestor: self.is_ancestor,
            }),
            earlier: self.earlier,
            cart: self.cart,
            context: self.context,
            segments: self.segments,
        };
        decide(&facts)
    }

    /// Returns what the use takes with this verdict.
    pub fn takings(&self, verdict: &Verdict) -> Takings {
        let discount = verdict.discount.as_ref().map(|granted| (granted.currency, granted.amount));
        Takings::of(self.campaign_no, self.code, self.identity, discount)
    }
}

impl Verdict {
    /// Returns true if it is refused for limits alone: what others hold may still be given back.
    pub fn is_short(&self) -> bool {
        let limits = [
            ReasonCode::LimitReached,
            ReasonCode::CampaignLimitReached,
            ReasonCode::IdentityLimitReached,
            ReasonCode::BudgetExhausted,
        ];
        !self.is_valid() && self.reasons.iter().all(|reason| limits.contains(&reason.code))
    }
}
