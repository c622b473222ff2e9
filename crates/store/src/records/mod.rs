//! What the store knows about jobs: rows, events, the audit log, reports.

pub mod rows;
pub mod outbox;
pub mod audit;
pub mod audit_search;
pub mod actor;
pub mod reports;
pub mod job_codes;
pub mod look_up;
pub mod backlog;
