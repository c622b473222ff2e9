//! The life of a job: start, chunks from claim to commit, closing, failing.

pub mod lifecycle;
pub mod closing;
pub mod chunks;
pub mod write_order;
mod copy_format;
pub mod owners;
