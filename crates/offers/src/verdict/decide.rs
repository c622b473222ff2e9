//! Decides about one use of one code. The same function serves validation, redemption, trials and tests.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::campaign::definition::{Definition, Kind, Purpose, USE_CASE_PRESET, is_trigger};
use crate::condition::facts::Facts;
use crate::condition::truth::Truth;
use crate::discount::grant::{Granted, NotGranted, grant};
use crate::discount::left::Left;
use crate::money::Currency;
use crate::verdict::facts::{Context, UseFacts};
use crate::verdict::reason::{Reason, ReasonCode};

/// The answer about one use of one code. It is valid exactly if there is no reason against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is taken off; `None` if the code is refused, or if there is no cart to compute it on.
    pub discount: Option<Granted>,
    /// Every reason against it, in the order of [`ReasonCode`], each code once.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    pub fn is_valid(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Decides whether a code of a campaign may be used, and computes the discount. Pure: equal facts give equal verdicts.
pub fn verdict(campaign: &Definition, facts: &UseFacts<'_>, now: DateTime<Utc>) -> Verdict {
    let mut reasons = Vec::new();
    reasons.extend(reasons_of_time(campaign, now));
    reasons.extend(reasons_of_limits(campaign, facts));
    reasons.extend(reasons_of_identity(campaign, facts));
    reasons.extend(reasons_of_context(campaign, facts));
    reasons.extend(reason_of_condition(campaign, facts, now));
    reasons.extend(reason_of_stacking(campaign, facts));
    let discount = match computed(campaign, facts) {
        Ok(discount) => discount,
        Err(reason) => {
            reasons.push(reason);
            None
        }
    };
    reasons.sort_by_key(|reason| reason.code);
    Verdict { discount: discount.filter(|_| reasons.is_empty()), reasons }
}

/// Decides again about a use that was decided before and may since have lost its place: what may have changed is the time, the
/// switch, what others have taken, and the other offers of the order. `discount` is what it was granted, in minor units.
pub fn verdict_again(
    campaign: &Definition,
    facts: &UseFacts<'_>,
    discount: Option<(Currency, i64)>,
    now: DateTime<Utc>,
) -> Verdict {
    let mut reasons: Vec<Reason> = reasons_of_time(campaign, now).collect();
    reasons.extend(reasons_of_limits(campaign, facts));
    let budget = campaign.limits.budget.zip(discount).filter(|(budget, (currency, _))| budget.currency == *currency);
    let is_spent =
        budget.is_some_and(|(budget, (_, amount))| amount > budget.amount.saturating_sub(facts.campaign.spent));
    reasons.extend(is_spent.then(|| ReasonCode::BudgetExhausted.into()));
    reasons.extend(reason_of_stacking(campaign, facts));
    Verdict { discount: None, reasons }
}

/// Why a code is refused that nobody knows.
pub const UNKNOWN_CODE: &str = "no campaign has this code";

/// Returns the reasons against a code that no campaign has, or that is as good as unknown: `why`. Whoever picks one of their own codes picks
/// a preset.
pub fn reasons_of_unknown(context: &Context, why: &str) -> Vec<Reason> {
    let is_picked = context.use_case.as_deref() == Some(USE_CASE_PRESET);
    let unknown = Reason::new(ReasonCode::CodeNotFound, why);
    [unknown].into_iter().chain(is_picked.then(|| ReasonCode::PresetNotFound.into())).collect()
}

fn reasons_of_time(campaign: &Definition, now: DateTime<Utc>) -> impl Iterator<Item = Reason> {
    let local = |at: Option<DateTime<chrono::FixedOffset>>| {
        at.map(|at| at.with_timezone(&campaign.zone).format("%Y-%m-%d %H:%M %Z").to_string()).unwrap_or_default()
    };
    let off = (!campaign.active).then(|| Reason::from(ReasonCode::CampaignNotActive));
    let early = (!campaign.has_started(now))
        .then(|| Reason::new(ReasonCode::NotStarted, format!("this offer starts on {}", local(campaign.starts_at))));
    let late = campaign
        .has_ended(now)
        .then(|| Reason::new(ReasonCode::Expired, format!("this offer ended on {}", local(campaign.ends_at))));
    [off, early, late].into_iter().flatten()
}

fn reasons_of_limits(campaign: &Definition, facts: &UseFacts<'_>) -> impl Iterator<Item = Reason> {
    let limits = &campaign.limits;
    let uses_by_identity = facts.identity.map_or(0, |identity| identity.uses);
    let limited = [
        (limits.per_code, facts.code.uses, ReasonCode::LimitReached),
        (limits.redeemed, facts.campaign.uses, ReasonCode::CampaignLimitReached),
        (limits.per_identity, uses_by_identity, ReasonCode::IdentityLimitReached),
    ];
    limited.into_iter().filter(|(limit, uses, _)| *limit > 0 && uses >= limit).map(|(_, _, code)| code.into())
}

/// The friend is recognized by the address.
const ADDRESS_REQUIRED: &str =
    "a referral code needs the e-mail address of the friend who uses it; send it as the identity";

fn reasons_of_identity(campaign: &Definition, facts: &UseFacts<'_>) -> Option<Reason> {
    let is_referral = campaign.purpose == Purpose::Referral;
    let needs_identity = campaign.kind == Kind::Restricted || is_referral || campaign.limits.per_identity > 0;
    let Some(identity) = facts.identity else {
        let needs_address = || Reason::new(ReasonCode::IdentityRequired, ADDRESS_REQUIRED);
        return match is_referral {
            true => Some(needs_address()),
            false => needs_identity.then(|| ReasonCode::IdentityRequired.into()),
        };
    };
    let is_owner = facts.code.owner == Some(identity.identity);
    if campaign.kind == Kind::Restricted && !is_owner {
        return Some(ReasonCode::WrongIdentity.into());
    }
    (is_referral && (is_owner || identity.is_ancestor)).then(|| ReasonCode::SelfReferral.into())
}

fn reasons_of_context(campaign: &Definition, facts: &UseFacts<'_>) -> impl Iterator<Item = Reason> {
    let context = facts.context;
    let is_member = campaign.segments.is_empty() || !campaign.segments.is_disjoint(facts.segments);
    let segment = (!is_member).then(|| ReasonCode::SegmentNotMet.into());
    let no_use_cases = BTreeSet::new();
    // Types of triggers are about issuing: if there are no others, codes may be used on any occasion.
    let is_for_triggers = campaign.use_cases.iter().all(|use_case| is_trigger(use_case));
    let use_cases = if is_for_triggers { &no_use_cases } else { &campaign.use_cases };
    let lists = [
        (use_cases, &context.use_case, ReasonCode::UseCaseNotMet),
        (&campaign.sources, &context.source, ReasonCode::SourceNotMet),
        (&campaign.ads, &context.ad, ReasonCode::AdNotMet),
        (&campaign.affiliates, &context.affiliate, ReasonCode::AffiliateNotMet),
    ];
    let unmet = lists.into_iter().filter(|(allowed, stated, _)| {
        !allowed.is_empty() && !stated.as_ref().is_some_and(|stated| allowed.contains(stated))
    });
    let unmet: Vec<Reason> = unmet.map(|(_, _, code)| code.into()).collect();
    segment.into_iter().chain(unmet)
}

/// The condition and the expression must both hold. A refusal names every attribute and segment that the condition failed at,
/// and every attribute that was missing.
fn reason_of_condition(campaign: &Definition, facts: &UseFacts<'_>, now: DateTime<Utc>) -> Option<Reason> {
    if campaign.condition.is_none() && campaign.expression.is_none() {
        return None;
    }
    let day = now.with_timezone(&campaign.zone).date_naive();
    let (attributes, segments, cart) = (&facts.context.attributes, facts.segments, facts.cart);
    let facts = Facts { attributes, segments, cart, day };
    let condition = campaign.condition.as_ref().filter(|condition| condition.decide(&facts) != Truth::True);
    let expression = campaign.expression.as_ref().map_or(Ok(true), |expression| expression.evaluate(&facts));
    if condition.is_none() && expression == Ok(true) {
        return None;
    }
    let mut causes = Vec::new();
    if let Some(condition) = condition {
        let unmet: Vec<String> = condition.unmet(&facts).into_iter().collect();
        let unknown: Vec<&str> = condition.unknown_attributes(&facts).into_iter().collect();
        if !unmet.is_empty() {
            causes.push(unmet.join(", "));
        }
        if !unknown.is_empty() {
            causes.push(format!("missing or of another type: {}", unknown.join(", ")));
        }
    }
    if let Err(error) = expression {
        causes.push(format!("the expression failed: {error}"));
    }
    let mut message = ReasonCode::ConditionNotMet.message().to_owned();
    if !causes.is_empty() {
        message = format!("{message}: {}", causes.join("; "));
    }
    Some(Reason::new(ReasonCode::ConditionNotMet, message))
}

fn reason_of_stacking(campaign: &Definition, facts: &UseFacts<'_>) -> Option<Reason> {
    let stacks = !campaign.exclusive && facts.earlier.iter().all(|earlier| !earlier.exclusive);
    (!facts.earlier.is_empty() && !stacks).then(|| ReasonCode::Exclusive.into())
}

/// Computes the discount on what earlier redemptions of the order have left.
fn computed(campaign: &Definition, facts: &UseFacts<'_>) -> Result<Option<Granted>, Reason> {
    let Some(cart) = facts.cart else {
        let needs_cart = campaign.discount.needs_items() || campaign.limits.budget.is_some();
        let reason = || Reason::new(ReasonCode::NothingToDiscount, "this offer needs to know the cart; send one");
        return if needs_cart { Err(reason()) } else { Ok(None) };
    };
    let budget = campaign.limits.budget;
    if let Some(offer) = budget.map(|budget| budget.currency).filter(|currency| *currency != cart.currency()) {
        return Err(mismatch(NotGranted::OtherCurrency { offer, cart: cart.currency() }));
    }
    let mut left = Left::of(cart);
    for (currency, lines) in facts.earlier.iter().filter_map(|earlier| earlier.discount.as_ref()) {
        if *currency != cart.currency() {
            return Err(other_currency(*currency, cart.currency()));
        }
        for (sku, amount) in lines {
            left.take_off_sku(cart, sku, *amount);
        }
    }
    let granted = grant(&campaign.discount, cart, &left).map_err(mismatch)?;
    match budget.map(|budget| budget.amount.saturating_sub(facts.campaign.spent)) {
        Some(rest) if granted.amount > rest => Err(ReasonCode::BudgetExhausted.into()),
        _ => Ok(Some(granted)),
    }
}

/// Amounts are not converted: what is left of the cart is unknown.
fn other_currency(earlier: Currency, cart: Currency) -> Reason {
    let message =
        format!("the order has a discount in {earlier} and the cart is in {cart}; pay in {earlier} to use both");
    Reason::new(ReasonCode::CurrencyMismatch, message)
}

fn mismatch(reason: NotGranted) -> Reason {
    let code = match reason {
        NotGranted::OtherCurrency { .. } => ReasonCode::CurrencyMismatch,
        NotGranted::Nothing => ReasonCode::NothingToDiscount,
    };
    Reason::new(code, reason.to_string())
}
