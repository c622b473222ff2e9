//! The life of a job: chunks from claim to commit, closing, failing.

pub mod chunks;
pub mod closing;
pub mod failing;
pub mod write_order;
