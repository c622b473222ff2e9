//! Logs, traces and metrics of a process, for its operators.

pub mod logs;
mod json_lines;
#[cfg(test)]
mod written;
pub mod traces;
#[cfg(feature = "otel")]
mod otlp;
pub mod metrics;
pub mod broker_status;
pub mod failpoint;
