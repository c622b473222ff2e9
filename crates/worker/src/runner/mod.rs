//! Runs jobs to their end, chunk after chunk: one job, or all unfinished jobs of the store.

pub mod single;
pub mod pool;
mod pool_keeper;
mod turns;
pub mod schedule;
pub mod job_execution;
pub mod backoff;
pub mod store_poller;
pub mod observer;
pub mod redemption_upkeep;
pub mod trigger_upkeep;
