//! What becomes of a redemption: confirmed, released, expired or rolled back.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::campaign::definition::Definition;
use crate::cart::Cart;
use crate::redemption::decide::Use;
use crate::redemption::ledger::{Ledger, Takings};
use crate::redemption::record::{LineDiscounts, Redemption};
use crate::redemption::request::digest_of_cart;
use crate::redemption::state::State;
use crate::verdict::decide::{Verdict, verdict_again};
use crate::verdict::facts::{Context, EarlierRedemption};
use crate::verdict::reason::{Reason, ReasonCode};

/// A confirmation after the deadline has no place on the order any more.
const TAKEN_BY_OTHERS: &str = "other codes have taken their discounts off this order since the deadline; confirm with the cart, on which \
                               this discount is computed anew";

/// What is to become of a redemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The order was paid. With a cart the discount is computed anew.
    Confirm {
        cart: Option<Cart>,
    },
    Release,
    RollBack {
        keep_use: bool,
    },
    /// The deadline has come.
    Expire,
}

/// What a confirmation is decided on, besides the redemption.
#[derive(Clone, Copy, Debug)]
pub struct ConfirmFacts<'a> {
    /// The result of [`Definition::to_confirm`].
    pub definition: &'a Definition,
    pub owner: Option<&'a str>,
    pub segments: &'a BTreeSet<String>,
    /// The other redemptions of the order that were made before it; all of them if its deadline has passed.
    pub earlier: &'a [EarlierRedemption],
    /// The code was a reward that nothing stands for any more.
    pub is_revoked: bool,
}

/// The answer to an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so already.
    Unchanged,
    Changed(Box<Redemption>),
    /// The state does not allow the action.
    WrongState,
    /// The same action was taken before with another cart, or with the other choice about the use.
    DifferentRequest,
    /// It cannot be confirmed. `expired` is the redemption if its deadline has come and it was still held.
    Refused {
        reasons: Vec<Reason>,
        expired: Option<Box<Redemption>>,
    },
}

impl Definition {
    /// Returns the definition on which the confirmation of a redemption is decided that was held under this version. Limits are
    /// the current ones. Until its deadline, a hold keeps its promise even if the campaign was switched off.
    #[must_use]
    pub fn to_confirm(&self, current: &Self, is_late: bool) -> Self {
        Self { active: !is_late || current.active, limits: current.limits.clone(), ..self.clone() }
    }
}

/// Decides an action. `identity` is the digest of the redemption's identity. What the redemption takes is in the ledger as
/// long as it counts.
pub fn act(
    redemption: &Redemption,
    identity: Option<&str>,
    action: &Action,
    facts: &ConfirmFacts<'_>,
    ledger: &Ledger,
    now: DateTime<Utc>,
) -> Outcome {
    let in_state = |state| Outcome::Changed(Box::new(ended(redemption, state, now)));
    match (action, redemption.state) {
        (Action::Confirm { cart }, _) => confirm(redemption, identity, cart.as_ref(), facts, ledger, now),
        (Action::Release, State::Held) => in_state(State::Released),
        (Action::Release, State::Released) => Outcome::Unchanged,
        (Action::RollBack { keep_use }, State::Confirmed) => {
            Outcome::Changed(Box::new(Redemption { keep_use: *keep_use, ..ended(redemption, State::RolledBack, now) }))
        }
        (Action::RollBack { keep_use }, State::RolledBack) => match *keep_use == redemption.keep_use {
            true => Outcome::Unchanged,
            false => Outcome::DifferentRequest,
        },
        (Action::Expire, _) if redemption.is_overdue(now) => in_state(State::Expired),
        (Action::Expire, _) => Outcome::Unchanged,
        (Action::Release | Action::RollBack { .. }, _) => Outcome::WrongState,
    }
}

fn confirm(
    redemption: &Redemption,
    identity: Option<&str>,
    cart: Option<&Cart>,
    facts: &ConfirmFacts<'_>,
    ledger: &Ledger,
    now: DateTime<Utc>,
) -> Outcome {
    let is_late = match redemption.state {
        State::Held => redemption.is_overdue(now),
        State::Expired => true,
        State::Confirmed => {
            let digest = cart.map(digest_of_cart);
            let is_same = digest.is_none() || digest == redemption.confirm_digest;
            return if is_same { Outcome::Unchanged } else { Outcome::DifferentRequest };
        }
        State::Released | State::RolledBack => return Outcome::WrongState,
    };
    let confirmed = ended(redemption, State::Confirmed, now);
    if !is_late && cart.is_none() {
        return Outcome::Changed(Box::new(confirmed));
    }
    let mut others = ledger.clone();
    if redemption.counts() {
        others.give(&takings(redemption, identity));
    }
    // A hold keeps its promise until its deadline, whatever has become of the campaign.
    let at = if is_late { now } else { redemption.held_at };
    let verdict = match is_late && facts.is_revoked {
        true => Verdict { discount: None, reasons: vec![ReasonCode::CodeNotFound.into()] },
        false => verdict_of(redemption, identity, cart, facts, &others, at),
    };
    if verdict.is_valid() {
        let confirmed = match (cart, &verdict.discount) {
            (Some(cart), Some(granted)) => Redemption {
                discount: Some(LineDiscounts::of(granted, cart)),
                order_amount: Some(cart.amount()),
                confirm_digest: Some(digest_of_cart(cart)),
                ..confirmed
            },
            _ => confirmed,
        };
        return Outcome::Changed(Box::new(confirmed));
    }
    let expired = (is_late && redemption.state == State::Held).then(|| ended(redemption, State::Expired, now));
    Outcome::Refused { reasons: verdict.reasons, expired: expired.map(Box::new) }
}

fn verdict_of(
    redemption: &Redemption,
    identity: Option<&str>,
    cart: Option<&Cart>,
    facts: &ConfirmFacts<'_>,
    others: &Ledger,
    at: DateTime<Utc>,
) -> Verdict {
    let nothing = Context::default();
    let again = Use {
        campaign_no: redemption.campaign_no,
        definition: facts.definition,
        code: &redemption.code,
        owner: facts.owner,
        identity,
        // It was decided when the code was held.
        is_ancestor: false,
        cart,
        context: redemption.context.as_ref().unwrap_or(&nothing),
        segments: facts.segments,
        earlier: facts.earlier,
    };
    if cart.is_some() {
        return again.verdict(others, at);
    }
    let mut verdict = again.decide_with(others, |facts| {
        let spent = redemption.discount.as_ref().map(|discount| (discount.currency, discount.amount));
        verdict_again(again.definition, facts, spent, at)
    });
    verdict.reasons.extend(reason_of_order(redemption, facts.earlier));
    verdict.reasons.sort_by_key(|reason| reason.code);
    verdict
}

/// Returns the reason against the discount that was granted to a redemption whose deadline has passed, if it is no longer one on what the
/// others leave of the order: those whose discount was decided after the deadline were granted theirs without it.
fn reason_of_order(redemption: &Redemption, others: &[EarlierRedemption]) -> Option<Reason> {
    let discount = redemption.discount.as_ref()?;
    let amount = |other: &EarlierRedemption| {
        let lines = other.discount.iter().flat_map(|(_, lines)| lines);
        lines.fold(0_i64, |sum, (_, amount)| sum.saturating_add(*amount))
    };
    let is_later =
        |other: &EarlierRedemption| redemption.expires_at.is_some_and(|deadline| other.decided_at >= deadline);
    let comes_after_others = others.iter().any(|other| is_later(other) && amount(other) > 0);
    let all = others.iter().map(amount).fold(discount.amount, i64::saturating_add);
    let is_too_much = redemption.order_amount.is_some_and(|order_amount| all > order_amount);
    (comes_after_others || is_too_much).then(|| Reason::new(ReasonCode::NothingToDiscount, TAKEN_BY_OTHERS))
}

/// Returns what a redemption takes while it counts.
pub fn takings(redemption: &Redemption, identity: Option<&str>) -> Takings {
    let discount = redemption.discount.as_ref().map(|discount| (discount.currency, discount.amount));
    Takings::of(redemption.campaign_no, &redemption.code, identity, discount)
}

/// Returns the redemption in another state. The context is kept as long as a late confirmation may come.
fn ended(redemption: &Redemption, state: State, now: DateTime<Utc>) -> Redemption {
    let context = if state == State::Expired { redemption.context.clone() } else { None };
    Redemption { state, ended_at: Some(now), context, ..redemption.clone() }
}
