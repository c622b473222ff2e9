//! What operators do with a store beside its jobs.

pub mod pruning;
pub mod recovery;
pub mod withdrawal;
pub mod partitions;
