//! The formats that enter and leave the process. Pure: no I/O, no clock.

pub mod message;
pub mod fields;
pub mod trace;
pub mod code_line;
pub mod document;
pub mod shown_job;
pub mod list;
pub mod audit;
pub mod event;
