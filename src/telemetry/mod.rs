//! What operators see of a process: its logs and its metrics.

pub mod logs;
pub mod metrics;
