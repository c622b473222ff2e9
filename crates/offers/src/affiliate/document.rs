//! Rules, exclusions and resolved references as programs read them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::affiliate::book::Resolved;
use crate::affiliate::exclusion::Exclusion;
use crate::affiliate::rule::{Period, Rule};

/// The fields of a rule that only answers have.
pub const ANSWERED: [&str; 2] = ["exclusions", "changed_at"];

/// The document of a rule.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RuleDocument {
    pub name: String,
    /// The references that it concerns, without the prefix, as it was written.
    pub mask: String,
    /// What is put in front of a reference.
    pub prefix: String,
    /// The name of the campaign whose offer they get.
    pub campaign: String,
    pub active: bool,
    pub priority: i32,
    /// When it applies; always if there are none.
    pub periods: Vec<Period>,
    /// The number of references that are excluded.
    pub exclusions: u64,
    pub changed_at: DateTime<Utc>,
}

impl RuleDocument {
    pub fn new(rule: Rule, exclusions: u64, changed_at: DateTime<Utc>) -> Self {
        let Rule { name, mask: _, mask_text, prefix, campaign, active, priority, periods } = rule;
        Self { name, mask: mask_text, prefix, campaign, active, priority, periods, exclusions, changed_at }
    }
}

/// The document of an exclusion.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ExclusionDocument {
    /// The reference in upper case, without the prefix of the rule.
    pub reference: String,
    pub affiliate: Option<String>,
    pub promotion: Option<String>,
    pub note: Option<String>,
}

impl From<Exclusion> for ExclusionDocument {
    fn from(Exclusion { reference, details }: Exclusion) -> Self {
        Self { reference, affiliate: details.affiliate, promotion: details.promotion, note: details.note }
    }
}

/// The exclusions of a rule after they were replaced.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReplacedExclusionsDocument {
    /// The name of the rule.
    pub rule: String,
    /// The number of exclusions before.
    pub before: u64,
    /// The number of exclusions now.
    pub now: u64,
    /// Rows whose reference was in an earlier row.
    pub repeated: u64,
}

/// What a reference becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ResolvedDocument {
    /// The reference with the prefix of the rule if one applies, and otherwise as it was sent.
    pub reference: String,
    /// The name of the rule that applies.
    pub rule: Option<String>,
    /// The name of the campaign whose offer it gets.
    pub campaign: Option<String>,
    /// Why no rule applies: `no-rule`, `not-active` or `excluded`.
    pub reason: Option<String>,
}

impl ResolvedDocument {
    /// Returns what became of a reference.
    pub fn of(resolved: Resolved<'_>, reference: &str) -> Self {
        match resolved {
            Resolved::Offered { reference, rule } => {
                let (rule, campaign) = (Some(rule.name.clone()), Some(rule.campaign.clone()));
                Self { reference, rule, campaign, reason: None }
            }
            Resolved::Unchanged(reason) => {
                let reason = Some(reason.as_str().to_owned());
                Self { reference: reference.to_owned(), rule: None, campaign: None, reason }
            }
        }
    }
}
