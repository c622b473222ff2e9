//! Printing: data to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use crate::cli::support::failure::Failure;

/// Prints one line of data.
pub fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(stdout(), "{line}").map_err(|error| Failure::stdout(&error))
}

/// Prints a line to standard error, beside the data. If that is closed, the command does not fail.
pub fn print_note(line: &str) {
    let _unheard = writeln!(stderr(), "{line}");
}

/// Prints a value as one line of JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_line(&json(value)?)
}

/// Prints a report: as one line of JSON, or for people.
pub fn print_report(as_json: bool, report: &(impl Serialize + Display)) -> Result<(), Failure> {
    if as_json { print_json(report) } else { print_line(&report.to_string()) }
}

pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(Failure::other)
}

/// Returns true if colour is allowed: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub fn color_allowed() -> bool {
    is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns true if standard error is a terminal.
pub fn is_terminal() -> bool {
    stderr().is_terminal()
}
