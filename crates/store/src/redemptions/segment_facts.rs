//! The segments that buyers belong to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::condition::facts::Facts as ConditionFacts;
use codemint_offers::condition::segment::Segment;
use codemint_offers::read::condition::read_segment;

/// Who belongs to which segment.
#[derive(Debug, Default)]
pub(crate) struct SegmentFacts {
    conditions: BTreeMap<String, Segment>,
    /// The segments that list an identity as a member.
    listed: HashMap<String, BTreeSet<String>>,
}

impl StoreTransaction {
    pub(crate) async fn read_segments(
        &mut self,
        definitions: impl Iterator<Item = &Definition>,
        identities: &BTreeSet<&str>,
    ) -> Result<SegmentFacts, StoreError> {
        const CONDITIONS: &str = "
            select name, cast(tree as text) from segments where tree is not null and name = any($1)";
        const ALL_CONDITIONS: &str = "select name, cast(tree as text) from segments where tree is not null";
        const LISTED: &str = "select identity, segment from segment_members where identity = any($1)";
        let (mut names, mut has_expression) = (BTreeSet::new(), false);
        for definition in definitions {
            names.extend(definition.segments.iter().cloned());
            if let Some(condition) = &definition.condition {
                names.extend(condition.segments().into_iter().map(str::to_owned));
            }
            // An expression may name any segment.
            has_expression |= definition.expression.is_some();
        }
        let mut facts = SegmentFacts::default();
        if names.is_empty() && !has_expression {
            return Ok(facts);
        }
        let names: Vec<String> = names.into_iter().collect();
        let query = if has_expression { self.query(ALL_CONDITIONS) } else { self.query(CONDITIONS).bind(List(&names)) };
        let trees: Vec<(String, String)> = query.fetch_all().await?;
        for (name, tree) in trees {
            let segment = segment_of(&tree)?;
            facts.conditions.insert(name, segment);
        }
        let identities: Vec<String> = identities.iter().map(|identity| (*identity).to_owned()).collect();
        if !identities.is_empty() {
            let rows: Vec<(String, String)> = self.query(LISTED).bind(List(&identities)).fetch_all().await?;
            for (identity, segment) in rows {
                facts.listed.entry(identity).or_default().insert(segment);
            }
        }
        Ok(facts)
    }
}

fn segment_of(tree: &str) -> Result<Segment, StoreError> {
    let corrupt = |problem: String| StoreError::Corrupt { table: "segments", problem };
    let value: Value = serde_json::from_str(tree).map_err(|error| corrupt(error.to_string()))?;
    read_segment(&value).map_err(|problems| corrupt(problems.first().map(ToString::to_string).unwrap_or_default()))
}

impl SegmentFacts {
    /// Returns the segments that the buyer belongs to: stated ones, those that list the identity, and those whose condition
    /// is met.
    pub(crate) fn of(&self, request: &ConditionFacts<'_>, identity: Option<&str>) -> BTreeSet<String> {
        let mut segments = request.segments.clone();
        segments.extend(identity.and_then(|identity| self.listed.get(identity)).into_iter().flatten().cloned());
        let met = self.conditions.iter().filter(|(_, segment)| segment.includes(false, request));
        segments.extend(met.map(|(name, _)| name.clone()));
        segments
    }
}
