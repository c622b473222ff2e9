//! Typed conditions as a tree.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::condition::attribute::Attribute;
use crate::condition::facts::Facts;
use crate::condition::truth::Truth;

/// The maximum number of levels of a tree; a comparison alone has 1.
pub const DEPTH_MAX: usize = 8;
/// The maximum number of nodes of a tree.
pub const NODES_MAX: usize = 100;
/// The maximum number of values in a tree.
pub const VALUES_MAX: usize = 1000;

/// A condition. A comparison with a missing attribute, or with one of another type or currency, is unknown; so are `not` of
/// it, and `all` and `any` if the answer depends on it. An offer is granted only if its condition is true: a missing
/// attribute never helps, not even under `not`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// True if each of these is.
    All(#[schemars(length(min = 1, max = NODES_MAX))] Vec<Predicate>),
    /// True if at least one of these is.
    Any(#[schemars(length(min = 1, max = NODES_MAX))] Vec<Predicate>),
    /// True if this is false.
    Not(Box<Predicate>),
    /// Compares an attribute with a value. The attribute must have the type of the value.
    Compare { attribute: String, op: Comparison, value: Attribute },
    /// True if the attribute is one of these values, which all have one type.
    In {
        attribute: String,
        #[schemars(length(min = 1, max = VALUES_MAX))]
        values: Vec<Attribute>,
    },
    /// True if the buyer belongs to a segment.
    Member { segment: String },
}

/// The way in which the attribute is compared with the value. Texts and booleans are only equal or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// All comparisons, with their names in JSON.
    pub const ALL: [(&'static str, Self); 6] =
        [("eq", Self::Eq), ("ne", Self::Ne), ("lt", Self::Lt), ("le", Self::Le), ("gt", Self::Gt), ("ge", Self::Ge)];

    const fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Eq => found.is_eq(),
            Self::Ne => found.is_ne(),
            Self::Lt => found.is_lt(),
            Self::Le => found.is_le(),
            Self::Gt => found.is_gt(),
            Self::Ge => found.is_ge(),
        }
    }

    /// Returns true if the comparison needs an order.
    pub const fn is_ordering(self) -> bool {
        !matches!(self, Self::Eq | Self::Ne)
    }
}

impl Predicate {
    /// Decides the condition.
    ///
    /// ```
    /// use std::collections::{BTreeMap, BTreeSet};
    ///
    /// use codemint_offers::condition::attribute::Attribute;
    /// use codemint_offers::condition::facts::Facts;
    /// use codemint_offers::condition::predicate::{Comparison, Predicate};
    /// use codemint_offers::condition::truth::Truth;
    ///
    /// let value = Attribute::Text("Berlin".into());
    /// let in_berlin = Predicate::Compare { attribute: "city".into(), op: Comparison::Eq, value: value.clone() };
    /// let elsewhere = Predicate::Not(Box::new(in_berlin.clone()));
    ///
    /// let mut attributes = BTreeMap::new();
    /// let (segments, day) = (BTreeSet::new(), "2027-03-01".parse()?);
    /// let facts = Facts { attributes: &attributes, segments: &segments, cart: None, day };
    /// assert_eq!([in_berlin.decide(&facts), elsewhere.decide(&facts)], [Truth::Unknown, Truth::Unknown]);
    ///
    /// attributes.insert("city".into(), value);
    /// let facts = Facts { attributes: &attributes, segments: &segments, cart: None, day };
    /// assert_eq!([in_berlin.decide(&facts), elsewhere.decide(&facts)], [Truth::True, Truth::False]);
    /// # Ok::<(), chrono::ParseError>(())
    /// ```
    pub fn decide(&self, facts: &Facts<'_>) -> Truth {
        match self {
            Self::All(parts) => Truth::all(parts.iter().map(|part| part.decide(facts))),
            Self::Any(parts) => Truth::any(parts.iter().map(|part| part.decide(facts))),
            Self::Not(part) => !part.decide(facts),
            Self::Compare { attribute, op, value } => {
                let found = facts.attribute(attribute).and_then(|found| found.compare(value));
                found.map_or(Truth::Unknown, |found| op.holds(found).into())
            }
            Self::In { attribute, values } => {
                let Some(found) = facts.attribute(attribute) else { return Truth::Unknown };
                let each = values.iter().map(|value| found.compare(value));
                Truth::any(each.map(|found| found.map_or(Truth::Unknown, |found| found.is_eq().into())))
            }
            Self::Member { segment } => facts.segments.contains(segment).into(),
        }
    }

    /// Returns the attributes that are missing or cannot be compared, in alphabetical order: of the whole tree, so that a
    /// refusal names them all.
    pub fn unknown_attributes(&self, facts: &Facts<'_>) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.visit(&mut |part| match part {
            Self::Compare { attribute, .. } | Self::In { attribute, .. } if part.decide(facts) == Truth::Unknown => {
                names.insert(attribute.as_str());
            }
            _ => {}
        });
        names
    }

    /// Returns the attributes whose comparisons make the condition false, and the segments likewise, each as
    /// `segment NAME`, in alphabetical order: what must be different before it can be true.
    pub fn unmet(&self, facts: &Facts<'_>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.collect_unmet(facts, Truth::True, &mut names);
        names
    }

    fn collect_unmet(&self, facts: &Facts<'_>, wanted: Truth, names: &mut BTreeSet<String>) {
        let found = self.decide(facts);
        if found == wanted {
            return;
        }
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.collect_unmet(facts, wanted, names))
            }
            Self::Not(part) => part.collect_unmet(facts, !wanted, names),
            // `unknown_attributes` names these.
            _ if found == Truth::Unknown => {}
            Self::Compare { attribute, .. } | Self::In { attribute, .. } => {
                names.insert(attribute.clone());
            }
            Self::Member { segment } => {
                names.insert(format!("segment {segment}"));
            }
        }
    }

    /// Returns the names of the segments that the condition asks about.
    pub fn segments(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.visit(&mut |node| {
            if let Self::Member { segment } = node {
                names.insert(segment.as_str());
            }
        });
        names
    }

    /// Calls a function with each node of the tree.
    fn visit<'a>(&'a self, seen: &mut impl FnMut(&'a Self)) {
        seen(self);
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit(seen)),
            Self::Not(part) => part.visit(seen),
            Self::Compare { .. } | Self::In { .. } | Self::Member { .. } => {}
        }
    }
}
