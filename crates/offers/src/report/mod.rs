//! Reports: figures of campaigns, affiliates, sources, advertisements or days, from sums of facts.

pub mod chart;
pub mod day;
pub mod document;
pub mod figures;
