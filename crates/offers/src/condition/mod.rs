//! Conditions: who and what an offer is for, beyond the lists of a campaign.

pub mod attribute;
pub mod facts;
pub mod truth;
pub mod predicate;
pub mod expression;
mod variables;
pub mod segment;
pub mod document;
