//! Redemptions: the statements that carry out what `offers` decides.

pub mod rows;
pub mod code_origins;
pub mod definition_cache;
pub(crate) mod allowances;
mod at_once;
pub(crate) mod segment_facts;
pub mod facts;
mod candidates;
pub mod redeem;
pub mod transitions;
pub mod past;
pub mod overdue;
pub mod pruning;
pub mod reads;
pub mod forgetting;
mod effects;
pub mod tallies;
