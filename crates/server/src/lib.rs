//! What codemint answers over HTTP: the API for programs, and the admin listener of a process.

pub mod admin;
pub mod api;
pub mod console;
pub mod chart;
pub mod report_csv;
pub mod listening;
pub mod tls;
