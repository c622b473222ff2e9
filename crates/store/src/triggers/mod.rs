//! Triggers: what happened at the shop, and what campaigns did about it.

pub mod handle;
pub mod due;
pub mod pruning;
pub mod results;
mod issue;
mod waiting;
