//! What operators see of a process: its logs and its metrics.

pub mod logs;
mod json_lines;
pub mod metrics;
