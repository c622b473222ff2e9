//! What commands share: output, progress, exit codes, signals.

pub(super) mod admin_listener;
pub(super) mod dlq;
pub(super) mod context;
pub(super) mod failure;
pub(super) mod global_options;
pub(super) mod find;
pub(super) mod code_report;
pub(super) mod requests;
pub(super) mod minting;
pub(super) mod job_export;
pub(super) mod output;
pub(super) mod output_options;
pub(super) mod output_format;
pub(super) mod encoder;
pub(super) mod xlsx;
pub(super) mod temporary;
pub(super) mod waits;
pub(super) mod progress;
pub(super) mod import_input;
pub(super) mod import_report;
pub(super) mod reject_file;
pub(super) mod shuffle;
pub(super) mod service;
pub(super) mod signals;
pub(super) mod terminal;
pub(super) mod text;
