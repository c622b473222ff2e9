//! Decides what a trigger means for a campaign.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::campaign::definition::{Definition, Kind};
use crate::condition::attribute::Attribute;
use crate::condition::facts::{Facts, ORDER_AMOUNT, ORDER_QUANTITY};
use crate::condition::predicate::Predicate;
use crate::condition::truth::Truth;
use crate::trigger::result::SkipReason;

/// The attribute that the sources of a campaign are compared with.
pub const SOURCE: &str = "source";

/// What a campaign does about a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Issue,
    /// The trigger is decided anew when it is due.
    Wait {
        due_at: DateTime<Utc>,
    },
    Skip(SkipReason),
}

/// Everything that is known about a trigger and its identity.
#[derive(Clone, Copy, Debug)]
pub struct TriggerFacts<'a> {
    pub trigger_type: &'a str,
    pub attributes: &'a BTreeMap<String, Attribute>,
    /// The segments that the identity belongs to, stored and stated ones.
    pub segments: &'a BTreeSet<String>,
    pub deactivated_at: Option<DateTime<Utc>>,
    /// True if the identity has a code of the campaign.
    pub has_code: bool,
    /// True if the trigger has waited until it was due.
    pub is_due: bool,
}

/// Returns true if triggers of this type concern the campaign.
pub fn is_concerned(campaign: &Definition, trigger_type: &str) -> bool {
    campaign.kind == Kind::Restricted && campaign.use_cases.contains(trigger_type)
}

/// Decides what a campaign does about a trigger. Pure: equal facts give equal decisions.
///
/// A campaign that waits decides at first only whether it is active and whether the identity has a code; everything else,
/// such as segments, may change until the trigger is due.
pub fn decide(campaign: &Definition, facts: &TriggerFacts<'_>, now: DateTime<Utc>) -> Decision {
    if let Some(reason) = reason_of_time(campaign, now) {
        return Decision::Skip(reason);
    }
    if !is_concerned(campaign, facts.trigger_type) {
        return Decision::Skip(SkipReason::UseCaseNotMet);
    }
    if facts.has_code {
        return Decision::Skip(SkipReason::AlreadyGenerated);
    }
    let days = campaign.wait_days_after_deactivation;
    if days > 0 && !facts.is_due {
        return match facts.deactivated_at {
            Some(at) => Decision::Wait { due_at: later_by(at, days) },
            None => Decision::Skip(SkipReason::WaitsForDeactivation),
        };
    }
    reason_of_facts(campaign, facts, now).map_or(Decision::Issue, Decision::Skip)
}

fn reason_of_time(campaign: &Definition, now: DateTime<Utc>) -> Option<SkipReason> {
    if campaign.has_ended(now) {
        Some(SkipReason::Expired)
    } else if !campaign.active {
        Some(SkipReason::CampaignNotActive)
    } else if !campaign.has_started(now) {
        Some(SkipReason::NotStarted)
    } else {
        None
    }
}

fn reason_of_facts(campaign: &Definition, facts: &TriggerFacts<'_>, now: DateTime<Utc>) -> Option<SkipReason> {
    // A campaign with triggers has segments: an empty list would be for everybody by mistake.
    if campaign.segments.is_disjoint(facts.segments) {
        return Some(SkipReason::SegmentNotMet);
    }
    let source = facts.attributes.get(SOURCE);
    let is_from_source = || matches!(source, Some(Attribute::Text(source)) if campaign.sources.contains(source));
    if !campaign.sources.is_empty() && !is_from_source() {
        return Some(SkipReason::SourceNotMet);
    }
    let day = now.with_timezone(&campaign.zone).date_naive();
    let known = Facts { attributes: facts.attributes, segments: facts.segments, cart: None, day };
    let is_met = campaign.condition.as_ref().is_none_or(|condition| may_hold(condition, &known))
        && campaign.expression.as_ref().is_none_or(|expression| expression.evaluate(&known) == Ok(true));
    (!is_met).then_some(SkipReason::ConditionNotMet)
}

/// Returns true if the condition holds, or if it depends only on the order, which is known when the code is used.
fn may_hold(condition: &Predicate, facts: &Facts<'_>) -> bool {
    match condition.decide(facts) {
        Truth::True => true,
        Truth::False => false,
        Truth::Unknown => {
            condition.unknown_attributes(facts).into_iter().all(|name| [ORDER_AMOUNT, ORDER_QUANTITY].contains(&name))
        }
    }
}

/// Both are bounded: at most the year 2999, and ten years.
fn later_by(at: DateTime<Utc>, days: u64) -> DateTime<Utc> {
    let wait = i64::try_from(days).ok().and_then(TimeDelta::try_days);
    wait.and_then(|wait| at.checked_add_signed(wait)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
