//! A rule: the references that a mask describes get the offer of a campaign, in some periods.

use chrono::{DateTime, Utc};
use codemint_codes::mask::Mask;
use schemars::JsonSchema;
use serde::Serialize;

use crate::text::cut;

/// The maximum number of rules.
pub const RULES_MAX: usize = 1000;
/// The maximum length of a prefix in characters.
pub const PREFIX_LENGTH_MAX: usize = 16;
/// The maximum number of periods of a rule.
pub const PERIODS_MAX: usize = 100;
/// The highest priority; the lowest one is as far below zero.
pub const PRIORITY_MAX: i32 = 1_000_000;
/// The maximum number of rules that a message names.
const NAMED_MAX: usize = 3;
/// The longest part of a name that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 50;

/// A rule of the affiliate team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    /// The references that it concerns, without the prefix.
    pub mask: Mask,
    /// The mask as it was written.
    pub mask_text: String,
    /// What is put in front of a reference. It may be empty.
    pub prefix: String,
    /// The name of the campaign whose offer they get.
    pub campaign: String,
    /// False if the team has switched it off.
    pub active: bool,
    /// If several rules concern a reference at the same time, the one with the highest priority applies.
    pub priority: i32,
    /// When it applies; always if there are none.
    pub periods: Vec<Period>,
}

/// A period of time, which does not include its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Period {
    /// Null if it has no beginning.
    pub from: Option<DateTime<Utc>>,
    /// Null if it has no end.
    pub to: Option<DateTime<Utc>>,
}

impl Rule {
    /// Returns true if it applies at this time.
    pub fn applies_at(&self, now: DateTime<Utc>) -> bool {
        self.active && (self.periods.is_empty() || self.periods.iter().any(|period| period.contains(now)))
    }

    /// Returns true if both could apply to a reference at the same time with the same priority, so that chance would decide. Rules
    /// that are switched off count as well: it must always be possible to switch them on.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let shares_time = || {
            let (ours, others) = (self.times(), other.times());
            ours.iter().any(|ours| others.iter().any(|others| ours.overlaps(*others)))
        };
        self.priority == other.priority && self.mask.meets(&other.mask) && shares_time()
    }

    /// Returns true if the mask describes a reference, normalized and without the prefix.
    pub fn describes(&self, reference: &str) -> bool {
        let positions = self.mask.positions();
        let fits = || reference.bytes().zip(positions).all(|(byte, symbols)| byte.is_ascii() && symbols.contains(byte));
        reference.len() == positions.len() && fits()
    }

    /// Returns the periods; the whole time if there are none.
    fn times(&self) -> &[Period] {
        const ALWAYS: [Period; 1] = [Period { from: None, to: None }];
        if self.periods.is_empty() { &ALWAYS } else { &self.periods }
    }
}

impl Period {
    pub fn contains(self, time: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }

    fn overlaps(self, other: Self) -> bool {
        let ends_after_start_of = |one: Self, other: Self| match (one.to, other.from) {
            (Some(to), Some(from)) => from < to,
            _ => true,
        };
        ends_after_start_of(self, other) && ends_after_start_of(other, self)
    }
}

/// Says why a rule is refused that conflicts with others, of which there is at least one.
pub fn conflict(name: &str, others: &[String]) -> String {
    let shown = |name: &str| cut(name, SHOWN_CHARS_MAX);
    let mut named = others.iter().take(NAMED_MAX).map(|other| shown(other)).collect::<Vec<_>>().join(", ");
    let concern = if others.len() == 1 { "concerns" } else { "concern" };
    if others.len() > NAMED_MAX {
        named = format!("{named} and {} more", others.len() - NAMED_MAX);
    }
    format!(
        "the rule {} concerns references that {named} {concern} at the same time with the same priority, so chance would decide; \
         give one of them another priority, other periods or another mask",
        shown(name)
    )
}
