//! Runs jobs to their end, chunk after chunk: one job, or all unfinished jobs of the store.

pub mod single;
pub mod pool;
pub mod schedule;
pub mod job_execution;
pub mod observer;
pub mod backoff;
pub mod store_poller;
