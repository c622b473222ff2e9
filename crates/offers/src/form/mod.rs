//! Forms that people fill in: from fields to documents and back.

pub mod fields;
pub mod amounts;
pub mod local_time;
pub mod days;
pub mod campaign;
pub mod campaign_fields;
pub mod trial;
pub mod pasted;
pub mod condition;
pub mod segment;
pub mod affiliate_rule;
