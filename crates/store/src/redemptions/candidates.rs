//! Requests that have passed so far, and what they take.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::connection::error::StoreError;
use crate::redemptions::facts::{Asked, Facts};
use crate::redemptions::rows::{json_of, row_of};
use codemint_offers::redemption::ledger::{Subject, Takings};
use codemint_offers::redemption::record::{LineDiscounts, Redemption};
use codemint_offers::redemption::state::State;
use codemint_offers::verdict::decide::Verdict;

/// A request that has passed so far, and what it takes.
pub(super) struct Candidate<'a> {
    pub asked: &'a Asked,
    pub redemption: Redemption,
    pub takings: Takings,
}

/// Returns redemptions as the JSON that statements take, in the order of their ids.
pub(super) fn rows_of(candidates: &BTreeMap<usize, Candidate<'_>>) -> Result<String, StoreError> {
    let mut sorted: Vec<&Redemption> = candidates.values().map(|candidate| &candidate.redemption).collect();
    sorted.sort_unstable_by_key(|redemption| redemption.id);
    json_of(sorted.into_iter().map(row_of))
}

/// Returns what candidates take together of each limit.
pub(super) fn limited_takings(
    facts: &Facts,
    candidates: &BTreeMap<usize, Candidate<'_>>,
) -> Result<BTreeMap<Subject, u64>, StoreError> {
    let mut together: BTreeMap<Subject, u64> = BTreeMap::new();
    for candidate in candidates.values() {
        let limits = &facts.campaign(candidate.asked.campaign_no)?.definition.limits;
        for (subject, _, amount) in candidate.takings.limited(limits) {
            let taken = together.entry(subject.clone()).or_default();
            *taken = taken.saturating_add(amount);
        }
    }
    Ok(together)
}

pub(super) fn candidate<'a>(asked: &'a Asked, facts: &Facts, verdict: &Verdict) -> Result<Candidate<'a>, StoreError> {
    let (request, now) = (&asked.request, facts.now);
    let campaign = facts.campaign(asked.campaign_no)?;
    let is_held = request.hold_seconds > 0;
    let granted = verdict.discount.as_ref().zip(request.cart.as_ref());
    let discount = granted.map(|(granted, cart)| LineDiscounts::of(granted, cart));
    let spent = discount.as_ref().map(|discount| (discount.currency, discount.amount));
    let takings = Takings::of(asked.campaign_no, &asked.code, asked.identity.as_deref(), spent);
    let redemption = Redemption {
        id: asked.id,
        campaign_no: asked.campaign_no,
        campaign: campaign.definition.name.clone(),
        version: campaign.version,
        code: asked.code.clone(),
        identity: request.identity.clone(),
        order: request.order.clone(),
        state: if is_held { State::Held } else { State::Confirmed },
        keep_use: false,
        discount,
        order_amount: request.cart.as_ref().map(|cart| cart.amount()),
        source: request.context.source.clone(),
        ad: request.context.ad.clone(),
        affiliate: request.context.affiliate.clone(),
        click_id: request.click_id,
        actor: request.actor.clone(),
        request_digest: asked.request_digest,
        confirm_digest: None,
        held_at: now,
        expires_at: is_held.then(|| now + TimeDelta::seconds(request.hold_seconds.into())),
        ended_at: (!is_held).then_some(now),
        context: is_held.then(|| request.context.clone()),
        referral: None,
    };
    Ok(Candidate { asked, redemption, takings })
}
