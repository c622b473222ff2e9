//! Metrics of a worker. Names and labels are a contract, documented in docs/metrics.md and defined once, in `names`.

pub mod recorder;
pub mod names;
pub mod jobs;
pub mod chunks;
pub mod store;
pub mod redemptions;
pub mod triggers;
pub mod referrals;
pub mod affiliates;
pub mod http;
pub mod clicks;
pub mod sign_ins;
pub mod broker;
