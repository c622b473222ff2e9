//! What operators see of a process: its logs, its traces and its metrics.

pub mod logs;
mod json_lines;
pub mod traces;
#[cfg(feature = "otel")]
mod otlp;
pub mod metrics;
pub mod broker_status;
pub mod failpoint;
