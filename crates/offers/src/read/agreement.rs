//! Checks that the fields of a definition agree with each other.

use std::collections::BTreeSet;

use codemint_codes::mask::Mask;
use codemint_codes::symbols::SymbolSet;

use crate::campaign::definition::{Kind, Limits, Purpose, Referral, is_trigger};
use crate::discount::rule::{Discount, Effect};
use crate::money::Currency;
use crate::read::node::Object;

/// The fields that others must agree with, as far as they could be read.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) object: &'a Object<'a>,
    pub(super) name: Option<&'a str>,
    pub(super) kind: Option<Kind>,
    pub(super) purpose: Option<Purpose>,
    pub(super) mask: Option<&'a Mask>,
    pub(super) limits: Option<&'a Limits>,
    pub(super) discount: Option<&'a Discount>,
    pub(super) segments: Option<&'a BTreeSet<String>>,
    pub(super) use_cases: Option<&'a BTreeSet<String>>,
    pub(super) wait_days: Option<u64>,
    pub(super) referral: Option<&'a Option<Referral>>,
}

/// Records what does not agree, as far as the fields concerned could be read.
pub(super) fn check_agreement(draft: &Draft<'_>) {
    check_mask(draft);
    check_budget(draft);
    check_triggers(draft);
    check_referral(draft);
}

fn check_mask(draft: &Draft<'_>) {
    let (Some(kind), Some(mask)) = (draft.kind, draft.mask) else { return };
    let is_one_code = mask.positions().iter().all(|set: &SymbolSet| set.single().is_some());
    match (kind, is_one_code) {
        (Kind::Public, false) => draft.object.wrong(
            "mask",
            "the mask has placeholders and a public campaign has one code; write the code itself, with \\ before # ? * [ {",
        ),
        (Kind::Private | Kind::Restricted, true) => draft
            .object
            .wrong("mask", "the mask has no placeholders, so it has one code; add some, such as #### for four digits"),
        _ => {}
    }
}

/// A cart has one currency: an offer in two would never be granted.
fn check_budget(draft: &Draft<'_>) {
    let (Some(limits), Some(discount)) = (draft.limits, draft.discount) else { return };
    let of_effect: Option<Currency> = if let Effect::Amount(off) = &discount.effect {
        Some(off.currency)
    } else {
        discount.cap.map(|cap| cap.currency)
    };
    if let (Some(budget), Some(of_discount)) = (limits.budget, of_effect)
        && budget.currency != of_discount
    {
        let message =
            format!("the budget is in {} and the discount in {of_discount}; use one currency", budget.currency);
        draft.object.wrong("limits/budget/currency", message);
    }
}

/// Triggers issue codes to identities, for named segments.
fn check_triggers(draft: &Draft<'_>) {
    let Some(use_cases) = draft.use_cases else { return };
    let trigger = use_cases.iter().find(|use_case| is_trigger(use_case));
    if let Some(trigger) = trigger {
        if draft.kind.is_some_and(|kind| kind != Kind::Restricted) {
            let message =
                format!("{trigger} issues codes to identities; only a restricted campaign can, so change kind");
            draft.object.wrong("use_cases", message);
        }
        if draft.segments.is_some_and(BTreeSet::is_empty) {
            let message = format!("segments is empty; name those for whom {trigger} issues codes");
            draft.object.wrong("segments", message);
        }
    } else if draft.wait_days.is_some_and(|days| days > 0) {
        let message =
            "no use case is the type of a trigger, so nothing waits; add one, such as location.created, or write 0";
        draft.object.wrong("wait_days_after_deactivation", message);
    }
}

fn check_referral(draft: &Draft<'_>) {
    let (Some(purpose), Some(referral)) = (draft.purpose, draft.referral) else { return };
    match (purpose, referral) {
        (Purpose::Regular, Some(_)) => {
            draft.object.wrong("referral", "the purpose is regular; leave referral out, or write the purpose referral");
        }
        (Purpose::Referral, None) => {
            draft.object.wrong("referral", "referral is missing; the purpose is referral, so write at least {}");
        }
        (Purpose::Regular, None) => return,
        (Purpose::Referral, Some(referral)) => {
            if draft.name.is_some() && referral.reward_campaign.as_deref() == draft.name {
                draft
                    .object
                    .wrong("referral/reward_campaign", "a campaign cannot reward itself; name another campaign");
            }
        }
    }
    if purpose == Purpose::Referral {
        check_referral_terms(draft);
    }
}

/// Everybody passes on a code of their own, which each friend uses once.
fn check_referral_terms(draft: &Draft<'_>) {
    if draft.kind.is_some_and(|kind| kind != Kind::Private) {
        draft.object.wrong("kind", "codes of a referral campaign are passed on; write private");
    }
    let Some(limits) = draft.limits else { return };
    if limits.per_code != 0 {
        draft.object.wrong("limits/per_code", "a referral code is used by many friends; write 0");
    }
    if limits.per_identity != 1 {
        draft.object.wrong("limits/per_identity", "each friend uses a referral code once; write 1");
    }
}
