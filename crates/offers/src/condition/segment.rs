//! Segments: named groups of buyers.

use crate::condition::facts::Facts;
use crate::condition::predicate::Predicate;
use crate::condition::truth::Truth;

/// A segment: those for whom the condition is true, and those who are listed as members. The list is the store's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `None` for a segment that consists of its listed members. The condition asks for no other segment, so that segments
    /// cannot form a circle.
    pub condition: Option<Predicate>,
}

impl Segment {
    /// Returns true if the buyer belongs to the segment. A condition that is unknown does not make anyone a member.
    pub fn includes(&self, is_listed: bool, facts: &Facts<'_>) -> bool {
        is_listed || self.condition.as_ref().is_some_and(|condition| condition.decide(facts) == Truth::True)
    }
}
