//! Campaigns, and who belongs to which segment.

pub mod definitions;
pub mod changes;
mod limits;
pub mod lists;
pub mod pool;
mod earlier_codes;
pub mod segments;
