//! Affiliates: rules, exclusions, and what processes keep of them in memory.

pub mod rules;
pub mod exclusions;
pub mod kept;
mod versions;
