//! The command line: the only module that prints. Data goes to standard output, everything else to standard error.

pub mod dispatch;
mod arguments;
mod commands;
mod support;
