//! Figures: sums of facts, reports from them, and the recount that proves them. Clicks on links, which are facts of their own.

pub mod clicks;
mod issued;
pub mod recount;
pub mod report;
